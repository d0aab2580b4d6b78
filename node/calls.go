package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// opDestroyAll has no place in a caller's group; see DestroyAllChannels.
const opDestroyAll = OpKind(fsmpb.OpKind_OP_DESTROY_ALL)

// Add puts (uid, sid) into a channel. It is idempotent and returns once the
// operation is committed and applied by the leader; default reads here show it
// from then on. name and uid: 1 to 255 bytes, sid: 1 to 64, UTF-8 without NUL.
//
// The errors are of one of the three classes (ErrRejected, ErrNotSent,
// ErrOutcomeUnknown). ErrUnknownServer: sid never registered. ErrServerGone: the
// life of sid that this node knew is over, and the player with it.
func (n *Node) Add(ctx context.Context, name, uid, sid string) error {
	_, err := n.write(ctx, Op{Kind: OpAdd, Name: name, UID: uid, SID: sid})
	return err
}

// Leave takes (uid, sid) out of a channel. It is idempotent: whoever is not in it
// is no error. Limits and errors as for Add.
func (n *Node) Leave(ctx context.Context, name, uid, sid string) error {
	_, err := n.write(ctx, Op{Kind: OpLeave, Name: name, UID: uid, SID: sid})
	return err
}

// DestroyChannel removes a channel on all servers at once, dead ones included.
func (n *Node) DestroyChannel(ctx context.Context, name string) error {
	_, err := n.write(ctx, Op{Kind: OpDestroy, Name: name})
	return err
}

// DestroyAllChannels removes every channel of the whole cluster.
func (n *Node) DestroyAllChannels(ctx context.Context) error {
	_, err := n.write(ctx, Op{Kind: opDestroyAll})
	return err
}

// MembersBySID lists a channel's members on one server, unordered. An unknown
// channel or sid is empty, not an error. The slice is the caller's.
func (n *Node) MembersBySID(ctx context.Context, name, sid string, o ...ReadOption) ([]string, error) {
	if err := firstError(checkName(name), checkSID(sid)); err != nil {
		return nil, err
	}
	var uids []string
	err := n.read(ctx, o, func(s *fsm.State) { uids = s.MembersBySID(name, sid) })
	return uids, err
}

// MembersByChannelName lists a channel's members on every server of a type, each
// uid once, unordered. It is empty where there is no such type.
func (n *Node) MembersByChannelName(ctx context.Context, stype, name string, o ...ReadOption) ([]string, error) {
	if err := firstError(checkSType(stype), checkName(name)); err != nil {
		return nil, err
	}
	var uids []string
	err := n.read(ctx, o, func(s *fsm.State) { uids = s.MembersByType(name, stype) })
	return uids, err
}

// Members yields every (uid, sid) of a channel, on servers of all types,
// unordered. The iterator holds no lock.
func (n *Node) Members(ctx context.Context, name string, o ...ReadOption) (iter.Seq[Member], error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	var members []fsm.Member
	err := n.read(ctx, o, func(s *fsm.State) { members = s.Members(name) })
	if err != nil {
		return nil, err
	}
	return func(yield func(Member) bool) {
		for _, m := range members {
			if !yield(Member(m)) {
				return
			}
		}
	}, nil
}

// PushMessage sends msg to every member of a channel on servers of one type, and
// returns when each of those servers has answered, or when the push's time is up:
// the earlier of ctx's deadline and Timeout. msg is at most 1 MiB by default
// (Settings.Limits) and may be empty; it must not be changed until the call returns.
//
// The result is filled in beside ErrPushFailed, which means that there were
// members and no server is Delivered. No members, or no such type: an empty
// result and no error.
func (n *Node) PushMessage(ctx context.Context, stype, route string, msg []byte, name string, o PushOptions) (PushResult, error) {
	if err := n.checkPush(ctx, stype, route, msg, name, o); err != nil {
		return PushResult{}, err
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	return n.pusher.push(ctx, pushJob{stype: stype, route: route, channel: name, msg: msg})
}

func (n *Node) checkPush(ctx context.Context, stype, route string, msg []byte, name string, o PushOptions) error {
	if err := firstError(checkSType(stype), checkRoute(route), checkName(name)); err != nil {
		return err
	}
	if limit := n.settings().Limits.MessageBytes; len(msg) > limit {
		return invalid("msg", "has %d bytes; at most %d are allowed", len(msg), limit)
	}
	if o.Timeout < 0 {
		return invalid("Timeout", "is negative")
	}
	if rest := o; true {
		rest.Timeout = 0
		if rest != (PushOptions{}) {
			return fmt.Errorf("%w: of PushOptions only Timeout is built", ErrUnsupported)
		}
	}
	if handling(ctx, name) {
		return fmt.Errorf("%w: %q", ErrReentrant, name)
	}
	return n.usable(ctx)
}

// usable refuses calls that must not begin: the context is over, or the node is.
func (n *Node) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return notSent(ended(ctx))
	}
	if n.closing.Load() {
		return notSent(ErrClosed)
	}
	return nil
}

func (n *Node) read(ctx context.Context, o []ReadOption, f func(*fsm.State)) error {
	if err := n.usable(ctx); err != nil {
		return err
	}
	return n.reader.view(ctx, o, f)
}

// writeAnswer is what became of one operation.
type writeAnswer struct {
	index   uint64
	changed bool
}

// write takes one operation from validation to its answer.
func (n *Node) write(ctx context.Context, op Op) (writeAnswer, error) {
	if err := checkOp(op); err != nil {
		return writeAnswer{}, err
	}
	if err := n.usable(ctx); err != nil {
		return writeAnswer{}, err
	}
	epoch, ok := n.epochAtOnce(op)
	if !ok {
		var cancel context.CancelFunc
		ctx, cancel = n.bounded(ctx) // for all of it, the wait for the answer too
		defer cancel()
		self, err := n.life.wait(ctx)
		if err != nil {
			return writeAnswer{}, n.notReady(err)
		}
		if epoch, err = n.epochOf(ctx, op, self); err != nil {
			return writeAnswer{}, err
		}
	}
	a, err := n.outbox.do(ctx, n.replica.Index(), fsm.Op{
		Kind: fsmpb.OpKind(op.Kind), Name: op.Name, UID: op.UID, SID: op.SID, Session: op.Session, Epoch: epoch,
	})
	if err != nil {
		return writeAnswer{}, fmt.Errorf("%s %q: %w", verbOf(op.Kind), op.Name, err)
	}
	n.reader.saw(a.index)
	op.Epoch = epoch
	if err := resultError(a.results[0], op); err != nil {
		return writeAnswer{}, err
	}
	return writeAnswer{index: a.index, changed: a.results[0] == fsm.OpChanged}, nil
}

// notReady gives a call that never got past registration its class.
func (n *Node) notReady(err error) error {
	if errors.Is(err, ErrRejected) {
		return err
	}
	var noLeader error
	if id, _ := n.consensus.Leader(); id == "" && !errors.Is(err, ErrClosed) {
		noLeader = ErrNoLeader
	}
	return notSent(noLeader, err)
}

func checkOp(op Op) error {
	switch op.Kind {
	case OpAdd, OpLeave:
		return firstError(checkName(op.Name), checkUID(op.UID), checkSID(op.SID))
	case OpDestroy:
		return checkName(op.Name)
	case opDestroyAll:
		return nil
	}
	return fmt.Errorf("%w: operation kind %d", ErrUnsupported, op.Kind)
}

// epochAtOnce is the usual case of epochOf: this node is ready, and it knows the
// life that is meant without asking anybody.
func (n *Node) epochAtOnce(op Op) (epoch uint64, ok bool) {
	self, ready := n.life.current()
	if !ready {
		return 0, false
	}
	return n.knownEpoch(op, self)
}

func (n *Node) knownEpoch(op Op, self uint64) (epoch uint64, ok bool) {
	switch {
	case op.Epoch != 0 || op.SID == "":
		return op.Epoch, true
	case op.SID == n.cfg.SID:
		return self, true
	}
	s, _ := n.serverRecord(op.SID)
	return s.Epoch, s.Up
}

// epochOf finds the life of the operation's sid that this caller can only mean:
// the one that its replica shows. A replica that shows none may lag, so it
// catches up with the leader once before the state is asked.
func (n *Node) epochOf(ctx context.Context, op Op, self uint64) (uint64, error) {
	if epoch, ok := n.knownEpoch(op, self); ok {
		return epoch, nil
	}
	if n.settings().ExternalSIDs {
		return 0, nil
	}
	if err := n.catchUp(ctx); err != nil {
		return 0, fmt.Errorf("look up server %q: %w", op.SID, notSent(err))
	}
	s, _ := n.serverRecord(op.SID)
	return s.Epoch, nil
}

func (n *Node) serverRecord(sid string) (fsm.Server, bool) {
	var s fsm.Server
	var ok bool
	n.replica.View(func(state *fsm.State) { s, ok = state.Server(sid) })
	return s, ok
}

// catchUp waits until the replica has what the leader has applied now.
func (n *Node) catchUp(ctx context.Context) error {
	for {
		_, changed := n.consensus.leadership()
		leader, err := n.enroll.route.leader()
		if err == nil {
			callCtx, cancel := n.enroll.route.follow(ctx, registerTimeout)
			var pong *peerpb.PingResponse
			pong, err = leader.Ping(callCtx, &peerpb.PingRequest{})
			cancel()
			if err == nil && pong.GetLeader() {
				return n.reader.wait(ctx, pong.GetApplied())
			}
		}
		n.enroll.route.pause(ctx, changed, 100*time.Millisecond)
		if ctx.Err() != nil {
			return errors.Join(ErrNoLeader, err, ended(ctx))
		}
	}
}

// resultError turns the state's verdict on an operation into an error.
func resultError(code byte, op Op) error {
	switch code {
	case fsm.OpUnchanged, fsm.OpChanged:
		return nil
	case fsm.OpServerGone:
		return fmt.Errorf("%w: the life of %q that was meant (epoch %d) is over", ErrServerGone, op.SID, op.Epoch)
	case fsm.OpUnknownServer:
		return fmt.Errorf("%w: %q never registered (are uid and sid swapped?)", ErrUnknownServer, op.SID)
	case fsm.OpAborted:
		return ErrAborted
	case fsm.OpLimit:
		return ErrLimit
	case fsm.OpInvalid:
		return fmt.Errorf("%w: refused by the state", ErrInvalidArgument)
	case fsm.OpUnsupported:
		return ErrUnsupported
	}
	return fmt.Errorf("%w: result %d", ErrOutcomeUnknown, code)
}

func verbOf(k OpKind) string {
	switch k {
	case OpAdd:
		return "add to"
	case OpLeave:
		return "leave"
	case OpDestroy:
		return "destroy"
	}
	return "write"
}

// Servers lists everybody registered that this node's replica knows, attached
// frontends included, sorted by SID.
func (n *Node) Servers() []Server {
	var list []fsm.Server
	n.replica.View(func(s *fsm.State) { list = s.Servers() })
	out := make([]Server, 0, len(list))
	for _, s := range list {
		out = append(out, Server{
			SID: s.SID, SType: s.SType, Zone: s.Zone, NodeID: s.NodeID, Incarnation: s.Incarnation,
			Epoch: s.Epoch, Addr: s.Addr, Via: s.Via,
		})
	}
	return slices.Clip(out)
}
