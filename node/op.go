package node

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Op is one operation on a channel, as it stands in the log. Fields that its kind
// does not have stay empty.
type Op struct {
	Kind                  OpKind
	Name, UID, SID, ToSID string          // OpLeaveAll has no Name, OpDestroy nothing but a Name; ToSID is not supported yet
	Session               uint64          // Add: raises the held value, never lowers it; Leave, LeaveAll: removes if held <= it, and 0 removes always
	Epoch                 uint64          // the life of SID that is meant; 0: the one known here now
	Meta                  []byte          // not supported yet
	Options               *ChannelOptions // not supported yet
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of operations. OpMove and OpSetOptions are not supported yet.
const (
	OpAdd        = OpKind(fsmpb.OpKind_OP_ADD)
	OpLeave      = OpKind(fsmpb.OpKind_OP_LEAVE)
	OpLeaveAll   = OpKind(fsmpb.OpKind_OP_LEAVE_ALL)
	OpMove       = OpKind(fsmpb.OpKind_OP_MOVE)
	OpDestroy    = OpKind(fsmpb.OpKind_OP_DESTROY)
	OpSetOptions = OpKind(fsmpb.OpKind_OP_SET_OPTIONS)
)

// opDestroyAll has no place in a caller's group; see DestroyAllChannels.
const opDestroyAll = OpKind(fsmpb.OpKind_OP_DESTROY_ALL)

// opPurge neither; see Purge.
const opPurge = OpKind(fsmpb.OpKind_OP_PURGE)

// ChannelOptions belong to one channel. Not supported yet.
type ChannelOptions struct {
	TTL        time.Duration
	MaxMembers int
	Meta       []byte // at most 256 bytes
}

// Member is one (uid, sid) in a channel.
type Member struct {
	UID, SID string
	Session  uint64
	Meta     []byte
}

// Server is one registered server.
type Server struct {
	SID, SType, Zone string
	NodeID           string // UUID of its data directory; of an attached frontend: its agent's
	Incarnation      string // UUID of its process start
	Epoch            uint64 // of this life; 0 before it is registered
	Addr             string // host:port; of an attached frontend: its agent's
	Via              string // sid of the agent of an attached frontend; empty otherwise
}

// checkOp names the first field that is wrong.
func checkOp(op Op) error {
	if len(op.Meta) > 0 || op.Options != nil {
		return fmt.Errorf("%w: Meta and Options of an operation are not built", ErrUnsupported)
	}
	switch op.Kind {
	case OpAdd, OpLeave:
		return firstError(checkName(op.Name), checkUID(op.UID), checkSID(op.SID), checkUnused("to_sid", op.ToSID))
	case OpLeaveAll:
		return firstError(checkUnused("name", op.Name), checkUID(op.UID), checkSID(op.SID), checkUnused("to_sid", op.ToSID))
	case OpDestroy:
		return firstError(checkName(op.Name), checkUnused("uid", op.UID), checkUnused("sid", op.SID), checkUnused("to_sid", op.ToSID),
			checkZero("session", op.Session), checkZero("epoch", op.Epoch))
	case opDestroyAll:
		return nil
	case opPurge:
		return checkSID(op.SID)
	case 0:
		return invalid("kind", "is not set")
	}
	return fmt.Errorf("%w: operation kind %d", ErrUnsupported, op.Kind)
}

// checkUnused refuses what would have no effect: who wrote it meant another operation.
func checkUnused(field, s string) error {
	if s != "" {
		return invalid(field, "is set; this kind of operation has none")
	}
	return nil
}

func checkZero(field string, v uint64) error {
	if v != 0 {
		return invalid(field, "is set; this kind of operation has none")
	}
	return nil
}

// maxEpochBytes is what an epoch takes at most in the log, its tag included. Size
// is counted with it, so that whether a group fits does not depend on which
// lives this node happens to know.
const maxEpochBytes = 11

// opBytes is the size of an operation in the log, at most.
func opBytes(op *Op) int {
	size := 2 + maxEpochBytes + 1 + protowire.SizeVarint(op.Session)
	for _, s := range [...]string{op.Name, op.UID, op.SID} {
		size += 1 + protowire.SizeBytes(len(s))
	}
	return 1 + protowire.SizeBytes(size)
}

// doing says in an error what an operation was about to do.
func doing(op Op) string {
	switch op.Kind {
	case OpAdd:
		return fmt.Sprintf("add to %q", op.Name)
	case OpLeave:
		return fmt.Sprintf("leave %q", op.Name)
	case OpLeaveAll:
		return "leave all channels"
	case OpDestroy:
		return fmt.Sprintf("destroy %q", op.Name)
	case opPurge:
		return fmt.Sprintf("purge %q", op.SID)
	}
	return "destroy all channels"
}
