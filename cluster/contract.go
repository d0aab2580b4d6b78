package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"
)

// Member is what gossip says of one process.
type Member struct {
	NodeID      string // UUID of its data directory, also its Raft server id
	Incarnation string // UUID of this start of the process
	SID         string // the server's id, at most 64 bytes
	Addr        string // HOST:PORT that others dial
	ClusterID   string // "" while it belongs to none
	Expect      int    // > 0: a founder that waits for this many founders; at most 255
}

// Founder is one server of a founding proposal.
type Founder struct {
	NodeID string `json:"node_id"`
	Addr   string `json:"addr"`
}

// Proposal is one attempt to found a cluster. The founder with the smallest
// node id, Founders[0], is the only one who can decide it.
type Proposal struct {
	ClusterID string    `json:"cluster_id"`
	Founders  []Founder `json:"founders"` // sorted by NodeID
	Settings  []byte    `json:"settings,omitempty"`
}

// Record is what this node must never forget about founding and belonging.
type Record struct {
	NodeID    string    `json:"node_id"`
	ClusterID string    `json:"cluster_id,omitempty"` // set once, never changed
	Promise   *Proposal `json:"promise,omitempty"`    // the one proposal this founder is bound to; kept after the founding for its settings
	Decided   bool      `json:"decided,omitempty"`    // all founders of Promise had promised

	// Admitted: this node has been in the configuration. It may not come back when it
	// has been taken out.
	Admitted bool `json:"admitted,omitempty"`
	Founders int  `json:"founders,omitempty"` // how many servers founded the cluster, as a joiner was told; 0: not known

	// Bootstrapped: the founders of Promise have been written into the Raft log
	// once. A node whose log is lost later must not write them again: it has
	// forgotten its votes.
	Bootstrapped bool `json:"bootstrapped,omitempty"`

	// Released are proposals known never to be decided, newest last. A founder
	// refuses them if a delayed request comes after the release; their proposer
	// goes on telling founders who have not heard.
	Released []Proposal `json:"released,omitempty"`
}

// FoundedBy is how many servers founded the cluster; 0: that is not known here.
func (r Record) FoundedBy() int {
	if r.Promise != nil && r.Promise.ClusterID == r.ClusterID {
		return len(r.Promise.Founders)
	}
	return r.Founders
}

// Identity keeps the record. Save returns after it is on disk; if it fails,
// the old record may or may not have been replaced.
type Identity interface {
	Load() Record
	Save(Record) error
}

// Server is one of the Raft configuration.
type Server struct {
	NodeID, Addr string
	Voter        bool
}

// Consensus is what this package needs of Raft. Methods may be called
// concurrently.
//
// A change of the configuration names the servers that it was decided on, and is
// made to no others (ErrConfigurationChanged): Raft goes on with a change that nobody
// waits for any more, and two that each leave enough voters may together leave too few.
type Consensus interface {
	Bootstrap(ctx context.Context, servers []Server) error
	Configuration() ([]Server, error)                             // the latest known here; empty before the first entry
	AddNonvoter(ctx context.Context, s Server, on []Server) error // also updates the address of one that is there
	AddVoter(ctx context.Context, s Server, on []Server) error
	Demote(ctx context.Context, nodeID string, on []Server) error // of one without a vote: changes nothing
	Remove(ctx context.Context, nodeID string, on []Server) error // of one that is not there: changes nothing
	HandOver(ctx context.Context) error                           // of leadership, to any other voter
	Leader() (nodeID, addr string)                                // "" if none is known
	LastIndex() uint64
	Contact(nodeID string) time.Time // when a heartbeat of this node, as leader, was last answered by that server's Raft
}

// Progress is a server's answer to "who are you and how far".
type Progress struct {
	NodeID    string
	LastIndex uint64
	NonVoter  bool // never wants a vote
}

// Peers are the calls to other servers. Every call honours its context.
type Peers interface {
	// Promise: an error is a refusal (errors.Is ErrPromiseRefused) or means that
	// nothing is known of the outcome.
	Promise(ctx context.Context, addr string, p Proposal, release bool) error
	Join(ctx context.Context, addr string, r JoinRequest) (JoinReply, error)
	Withdraw(ctx context.Context, addr string, r WithdrawRequest) (WithdrawReply, error)
	Progress(ctx context.Context, addr string) (Progress, error)
	// Ping asks the process at addr which of these lives are there. The answer has
	// one Alive for each.
	Ping(ctx context.Context, addr string, lives []Life) (Answer, error)
}

// Life is one registered existence of a sid, as the replicated state has it.
type Life struct {
	SID, NodeID, Incarnation string
	Addr                     string // HOST:PORT where it answered when it registered
	Via                      string // sid of the agent of an attached frontend, whose NodeID and Addr are the agent's; else empty
	ViaEpoch                 uint64 // the agent's life
	Epoch                    uint64
	Up                       bool   // false: it is over
	Changed                  uint64 // index of the record's last change
}

// Answer is what a process says of itself when the leader calls the roll.
type Answer struct {
	NodeID, SID, Incarnation, ClusterID string

	Alive []bool // one per asked life: that very one is here

	Applied   uint64 // index of its replica
	LastIndex uint64 // of its Raft log
	LastTerm  uint64 // of the entry there
	Level     uint32 // newest entry version that its binary knows; 0: from before there were levels
	NonVoter  bool   // never wants a vote
	Durable   bool   // has a data directory
	MayLead   bool   // its store is good and has room, its state has not halted
	Zone      string
	Version   string // of its binary
	Problem   string // in words; empty if there is none

	At time.Time // when the answer came, on this node's clock
}

// State is what a leader's duties need of the replicated state.
type State interface {
	// Lives are the records of all sids that the state knows: the life that is up,
	// else the last one. Not to be written to.
	Lives() []Life
	// CatchUp returns nil once this node, leading, shows all that was committed
	// anywhere before the call.
	CatchUp(ctx context.Context) error
	// End ends a life, if it is still up and, if attached, hangs where it did.
	End(ctx context.Context, l Life) error
	// Forget drops the records of lives that ended at or before an index.
	Forget(ctx context.Context, index uint64) error
	// Level is the highest entry version that may be written: all servers know it.
	Level() uint32
	// RaiseLevel never lowers it.
	RaiseLevel(ctx context.Context, level uint32) error
}

// Timers are the cluster's settings for what a leader does about silence.
type Timers struct {
	ReapAfter   time.Duration // a life that is silent for so long is over
	ForgetAfter time.Duration // and after so long more nobody asks for it any more
	RemoveAfter time.Duration // a server that is silent for so long leaves the configuration; 0: 1 h
}

// JoinRequest asks to be in the Raft configuration under this id and address.
//
// Generation is that of the data in the joiner's directory, 0 if there is none.
type JoinRequest struct {
	ClusterID, NodeID, Addr, SID string
	Generation                   uint32
	Level                        uint32 // newest entry version that its binary knows; 0: from before there were levels
	Member                       bool   // it was in the configuration before
}

// JoinReply is the answer: exactly one of Joined, LeaderAddr (ask there) and
// Reason (why not) says something; Refused makes the reason final.
type JoinReply struct {
	Joined     bool
	Founders   int // how many founded the cluster; 0: not known there
	LeaderAddr string
	Refused    bool
	Reason     string
}

// WithdrawRequest asks to take a server out of the voters, or of the configuration.
type WithdrawRequest struct {
	ClusterID, NodeID string
	Leave             bool // out of the configuration
}

// WithdrawReply is the answer: Done, or LeaderAddr (ask there), or a Reason, which
// is of now unless it is Refused: asking again would not help.
type WithdrawReply struct {
	Done       bool
	LeaderAddr string
	Refused    bool
	Reason     string
}

// ErrConfigurationChanged: nothing was done, for the configuration is another one than
// it was decided on. Look again.
var ErrConfigurationChanged = errors.New("the configuration has changed meanwhile")

// ErrWithdrawRefused: no other server could take the vote. The error's text says why.
var ErrWithdrawRefused = errors.New("withdrawal refused")

// ErrPromiseRefused: the founder will not promise, or will not release, this
// proposal as things stand. The error's text says why.
var ErrPromiseRefused = errors.New("promise refused")

// ErrClosed is the answer of a closed Cluster.
var ErrClosed = errors.New("cluster: closed")

// Options are copied; the slices are not kept.
type Options struct {
	Self   Member   // ClusterID is taken from Identity, Expect from below
	Seeds  []string // HOST:PORT, srv:NAME, file:PATH; names are resolved to all their addresses, each time; the own address is allowed
	Expect int      // founders this server waits for, itself included; 0: it only joins

	// Discover is another way to find HOST:PORTs, asked until this server is admitted
	// and sees everybody. One call at a time, in a goroutine of its own; it should
	// honour its context, and what it does otherwise harms nobody. May be nil.
	Discover func(ctx context.Context) ([]string, error)
	Resolver Resolver // nil: the system's

	MaxVoters func() int // nil: 5
	// Generation is that of the cluster this node's data is of, 0 while it has none. A
	// recovery raises it: data of another one is of servers that went on without it.
	Generation func() uint32 // nil: 0
	Settings   []byte        // carried in this node's own proposal, opaque

	// The gossip wire. Open takes all three over: it closes Packets and Streams
	// with the Cluster, and also when it fails.
	Packets   net.PacketConn
	Streams   net.Listener
	Dial      func(ctx context.Context, addr string) (net.Conn, error)
	GossipKey []byte // 16, 24 or 32 bytes; nil: no secrecy, only protection from stray packets

	Identity  Identity
	Consensus Consensus
	Peers     Peers
	State     State
	Level     uint32 // newest entry version that this binary knows
	Timers    func() Timers
	Answer    func(lives []Life) Answer // this node's own, when it calls the roll as the leader; At is filled in
	Logger    *slog.Logger              // nil: silent
}
