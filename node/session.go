package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pofresh/globalchannel/fsm"
)

// errSessionClosed is ErrClosed of a session.
var errSessionClosed error = &occasion{"session closed", ErrClosed}

// Session is one connection of a player to this server. A player who reconnects
// gets a new one, and what the old one still does cannot harm it: its Leave and
// Close leave alone what a newer session of the same uid has joined.
//
// Its methods may be called concurrently.
type Session struct {
	node  *Node
	uid   string
	token uint64

	mu     sync.Mutex // guards closed; held while an operation takes its place in the outbox, so that Close comes before it or after it
	closed bool
}

// Session begins a connection of uid to this server. It writes nothing. Sessions
// of one uid must be made in the order of their connections: the later one is the
// newer one.
func (n *Node) Session(uid string) *Session {
	return &Session{node: n, uid: uid, token: n.sessions.tokens.Add(1)}
}

// Token tells this connection from others of this process: 1, 2, 3... A backend
// that adds the player for it puts it into Op.Session, and Self().Epoch into Op.Epoch.
func (s *Session) Token() uint64 { return s.token }

// Add puts the player into a channel, as a member on this server. It waits, and
// fails, as Node.Add does. After Close it is ErrNotSent and ErrClosed.
//
// A channel holds a player once per server, for the newest session that joined it.
func (s *Session) Add(ctx context.Context, name string) error {
	return s.do(ctx, Op{Kind: OpAdd, Name: name, UID: s.uid, SID: s.node.cfg.SID, Session: s.token})
}

// Leave takes the player out of a channel, unless a newer session has joined it.
// It waits, and fails, as Node.Leave does. After Close it is ErrNotSent and ErrClosed.
func (s *Session) Leave(ctx context.Context, name string) error {
	return s.do(ctx, Op{Kind: OpLeave, Name: name, UID: s.uid, SID: s.node.cfg.SID, Session: s.token})
}

// Close takes the player out of every channel that no newer session has joined,
// including those that a backend put them into for this server without a session.
// It does not wait: the goodbye is kept in memory until it is committed or this
// server's life is over, which ends the membership too. An Add that began before
// Close has its effect before the goodbye; a later one is refused. So no call of
// this session leaves a ghost, whatever its caller was told.
//
// A second Close does nothing. ErrInvalidArgument: the uid never was a valid one.
// ErrUnsupported: with a ChannelManager sessions join nothing, and end nothing.
func (s *Session) Close() error {
	if err := firstError(checkUID(s.uid), s.supported()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.node.sessions.goodbye(s.node, Op{Kind: OpLeaveAll, UID: s.uid, SID: s.node.cfg.SID, Session: s.token})
	return nil
}

func (s *Session) do(ctx context.Context, op Op) (err error) {
	defer func() { s.node.meters.wrote(err) }()
	if err := firstError(checkOp(op), s.supported()); err != nil {
		return err
	}
	if err := firstError(s.node.usable(ctx), s.refusal()); err != nil {
		return err
	}
	epoch, ready := s.node.life.current()
	if !ready {
		var cancel context.CancelFunc
		ctx, cancel = s.node.bounded(ctx) // for all of it, the wait for the answer too
		defer cancel()
		if epoch, err = s.node.life.wait(ctx); err != nil {
			return s.node.notReady(err)
		}
	}
	logged := logOp(&op, epoch)
	c, err := s.begin(logged)
	if err != nil {
		return fmt.Errorf("%s: %w", doing(op), err)
	}
	a, err := s.node.outbox.end(ctx, c)
	if err != nil {
		return fmt.Errorf("%s: %w", doing(op), err)
	}
	s.node.reader.wrote(a.index, logged)
	_, err = oneAnswer(a, logged)
	return err
}

// supported: a ChannelManager knows no sessions. Close says so too: it would leave ghosts.
func (s *Session) supported() error {
	if s.node.managed != nil {
		return unsupportedManaged("a Session")
	}
	return nil
}

// refusal spares a call after Close the wait for this server to be registered.
func (s *Session) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusalLocked()
}

func (s *Session) refusalLocked() error {
	if s.closed {
		return notSent(errSessionClosed)
	}
	return nil
}

// begin gives an operation its place before Close's, or none.
func (s *Session) begin(op fsm.Op) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusalLocked(); err != nil {
		return nil, err
	}
	return s.node.outbox.begin(s.node.replica.Index(), op)
}

// sessions is what the sessions of one process share.
type sessions struct {
	tokens atomic.Uint64 // the newest session's

	mu         sync.Mutex // guards all below
	registered bool
	early      map[string]Op // goodbyes from before this life was registered: the last of each player
}

// goodbye hands a LeaveAll to the outbox, as soon as the life that it means has an
// epoch. Before that no session has added anything, but a backend may have.
func (s *sessions) goodbye(n *Node, op Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.registered {
		if s.early == nil {
			s.early = make(map[string]Op)
		}
		op.Session = max(op.Session, s.early[op.UID].Session)
		s.early[op.UID] = op
		return
	}
	s.keep(n, op)
}

// begin is called once this life is registered.
func (s *sessions) begin(n *Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered = true
	for _, op := range s.early {
		s.keep(n, op)
	}
	s.early = nil
}

// keep runs with mu held.
func (s *sessions) keep(n *Node, op Op) {
	epoch, _ := n.life.registered()
	n.outbox.keep(n.replica.Index(), logOp(&op, epoch))
}
