package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/pofresh/globalchannel/fsm"
)

// Bounds of one Apply. A group is never cut up, and what holds it must stay
// far below what holds up heartbeats.
const (
	maxGroupOps   = 4096
	maxGroupBytes = 240 << 10
)

// Applied is what became of a group.
type Applied struct {
	Index   uint64 // of the group's log entry; hand it to another process and use AtLeast there
	Changed []bool // Changed[i]: ops[i] had an effect
}

// OpError says which operation of a group was refused. Nothing of the group took
// effect: it matches ErrAborted, and the operation's own error, which is ErrRejected.
type OpError struct {
	I   int   // position in the call, from 0
	Op  Op    // as it was given; zero where the error came over gRPC
	Err error // why
}

// Error implements error.
func (e *OpError) Error() string { return opPosition(e.I) + e.Err.Error() }

// Unwrap gives Err.
func (e *OpError) Unwrap() error { return e.Err }

// Is makes every OpError match ErrAborted.
func (e *OpError) Is(target error) bool { return target == ErrAborted }

func opPosition(i int) string { return fmt.Sprintf("ops[%d]: ", i) }

// Apply commits a group of operations as one log entry: all take effect at one
// index, in the order given, or none does. It returns once the group is committed
// and applied by the leader; default reads here show it from then on. At most
// 4,096 operations that take at most 240 KiB in the log (where each life counts
// with 11 bytes); more is ErrInvalidArgument. No operations: nothing is sent, and
// Applied has this node's Index.
//
// A group with an operation that is refused, by its fields or by the state, gets an
// *OpError for the first such one, and has no effect: it matches ErrAborted, and
// what is wrong with the operation (ErrInvalidArgument, ErrServerGone,
// ErrUnknownServer, ErrLimit, ErrUnsupported...). Each operation is checked against the state
// with the group's earlier ones done. All other errors are those of Add, and are
// about the whole group.
func (n *Node) Apply(ctx context.Context, ops ...Op) (_ Applied, err error) {
	if len(ops) == 0 && n.managed == nil {
		return Applied{Index: n.Index()}, nil
	}
	defer func() { n.meters.wrote(err) }()
	if err := checkGroup(ops); err != nil {
		return Applied{}, err
	}
	if n.managed != nil {
		return Applied{}, unsupportedManaged("Apply")
	}
	logged := make([]fsm.Op, len(ops))
	a, err := n.submit(ctx, ops, logged)
	if err != nil {
		return Applied{}, fmt.Errorf("apply %d operations: %w", len(ops), err)
	}
	if err := groupError(a.results, ops, logged); err != nil {
		return Applied{}, err
	}
	changed := make([]bool, len(ops))
	for i, code := range a.results {
		changed[i] = code == fsm.OpChanged
	}
	return Applied{Index: a.index, Changed: changed}, nil
}

// AddOps puts uids, all on server sid, into a channel:
//
//	n.Apply(ctx, node.AddOps("guild:7", "connector-1", uids...)...)
func AddOps(name, sid string, uids ...string) []Op { return opsOf(OpAdd, name, sid, uids) }

// LeaveOps takes uids, all on server sid, out of a channel.
func LeaveOps(name, sid string, uids ...string) []Op { return opsOf(OpLeave, name, sid, uids) }

func opsOf(kind OpKind, name, sid string, uids []string) []Op {
	ops := make([]Op, len(uids))
	for i, uid := range uids {
		ops[i] = Op{Kind: kind, Name: name, UID: uid, SID: sid}
	}
	return ops
}

// checkGroup refuses what can never be one group.
func checkGroup(ops []Op) error {
	if err := checkGroupLength(len(ops)); err != nil {
		return err
	}
	size := 0
	for i := range ops {
		err := checkOp(ops[i])
		if ops[i].Kind == opDestroyAll { // empties the cluster: a call of its own, that nobody makes by mistake
			err = fmt.Errorf("%w: operation kind %d", ErrUnsupported, opDestroyAll)
		}
		if err != nil {
			return &OpError{I: i, Op: ops[i], Err: err}
		}
		size += opBytes(&ops[i])
	}
	if size > maxGroupBytes {
		return invalid("ops", "take %d bytes; at most %d are allowed", size, maxGroupBytes)
	}
	return nil
}

func checkGroupLength(n int) error {
	if n > maxGroupOps {
		return invalid("ops", "has %d operations; at most %d are allowed", n, maxGroupOps)
	}
	return nil
}

// groupError finds the operation that the state refused. The others' results say
// only that one was.
func groupError(results []fsm.OpResult, ops []Op, logged []fsm.Op) error {
	var aborted error
	for i, code := range results {
		err := resultError(code, logged[i])
		switch {
		case code == fsm.OpAborted:
			aborted = err
		case errors.Is(err, ErrRejected):
			return &OpError{I: i, Op: ops[i], Err: err}
		case err != nil:
			return fmt.Errorf("%s%w", opPosition(i), err)
		}
	}
	return aborted
}
