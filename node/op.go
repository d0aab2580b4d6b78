package node

import (
	"time"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Op is one operation on a channel, as it stands in the log.
type Op struct {
	Kind                  OpKind
	Name, UID, SID, ToSID string
	Session               uint64          // Add: raises the held value, never lowers it; Leave: removes if held <= it, and 0 removes always
	Epoch                 uint64          // the life of SID that is meant; 0: the one known here now
	Meta                  []byte          // not supported yet
	Options               *ChannelOptions // not supported yet
}

// OpKind says what an Op does.
type OpKind uint8

// The kinds of operations. Only OpAdd, OpLeave and OpDestroy are built today.
const (
	OpAdd        = OpKind(fsmpb.OpKind_OP_ADD)
	OpLeave      = OpKind(fsmpb.OpKind_OP_LEAVE)
	OpLeaveAll   = OpKind(fsmpb.OpKind_OP_LEAVE_ALL)
	OpMove       = OpKind(fsmpb.OpKind_OP_MOVE)
	OpDestroy    = OpKind(fsmpb.OpKind_OP_DESTROY)
	OpSetOptions = OpKind(fsmpb.OpKind_OP_SET_OPTIONS)
)

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
