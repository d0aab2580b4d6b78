package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// raftLayer is the raft.StreamLayer over the port.
type raftLayer struct {
	*queue
	self     string // node id
	known    func(nodeID string) bool
	dialer   *dialer
	ctx      context.Context // ends dials; see Close
	cancel   context.CancelFunc
	accepted *connSet

	mu     sync.Mutex         // guards all below
	silent bool               // see silence
	dials  map[string]attempt // by node id: those that cutTo ends
}

// attempt is the life of all dials to one node that began since the last cutTo.
type attempt struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func newRaftLayer(self string, addr string, known func(string) bool, d *dialer, accepted *connSet) *raftLayer {
	l := &raftLayer{self: self, known: known, dialer: d, accepted: accepted, dials: make(map[string]attempt)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.queue = newQueue(raftAddr(RaftAddress(self, addr)), d.timeout, l.over)
	return l
}

// over runs when the queue is closed, which NetworkTransport does when it is
// closed. It leaves its connections open; without their end its goroutines that
// read from accepted ones would stay, and so would the sockets of its pool.
func (l *raftLayer) over() {
	l.cancel()
	l.accepted.cut(protocolRaft)
	l.dialer.conns.cut(protocolRaft)
}

// Dial implements raft.StreamLayer. The address is a RaftAddress.
func (l *raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	target, addr := SplitRaftAddress(address)
	ctx := l.attempt(target)
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded))
		defer cancel()
	}
	c, err := l.open(ctx, target, addr)
	if err != nil {
		return nil, err // not the nil *conn, which would be a net.Conn
	}
	return c, nil
}

// probe finds out whether a new stream can be opened to a node.
func (l *raftLayer) probe(ctx context.Context, address raft.ServerAddress) error {
	target, addr := SplitRaftAddress(address)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	c, err := l.open(ctx, target, addr)
	if err != nil {
		return err
	}
	return c.Close()
}

// cutTo ends the streams, and dials, to a node.
func (l *raftLayer) cutTo(nodeID string) {
	l.mu.Lock()
	if a, ok := l.dials[nodeID]; ok {
		a.cancel()
		delete(l.dials, nodeID)
	}
	l.mu.Unlock()
	l.dialer.conns.cutTo(nodeID)
}

// silence ends all streams, and dials, and refuses new ones, until it is ended. It
// does not block.
func (l *raftLayer) silence(on bool) {
	l.mu.Lock()
	l.silent = on
	if on {
		for _, a := range l.dials {
			a.cancel()
		}
		clear(l.dials)
	}
	l.mu.Unlock()
	if on {
		l.accepted.cut(protocolRaft)
		l.dialer.conns.cut(protocolRaft)
	}
}

// speaking refuses a stream while there is silence. Whoever asks is known to be one of
// Raft by then: a silence that begins afterwards cuts it.
func (l *raftLayer) speaking() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent {
		return errSilent
	}
	return nil
}

var errSilent = errors.New("this node takes no part in raft at present")

// attempt is the context of a dial that begins now.
func (l *raftLayer) attempt(nodeID string) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.dials[nodeID]
	if !ok {
		a.ctx, a.cancel = context.WithCancel(l.ctx)
		l.dials[nodeID] = a
	}
	return a.ctx
}

func (l *raftLayer) open(ctx context.Context, target, addr string) (*conn, error) {
	if err := checkNodeID(target); err != nil {
		return nil, fmt.Errorf("dial %q: want NODEID@HOST:PORT", RaftAddress(target, addr))
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, net.ErrClosed)
	}
	if err := l.speaking(); err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return l.dialer.dial(ctx, addr, protocolRaft, func(c *conn) error { return l.ask(c, target) })
}

func (l *raftLayer) ask(c *conn, target string) error {
	c.isFor(target)
	if err := l.speaking(); err != nil {
		return err
	}
	if c.peer.proven && c.peer.nodeID != target {
		return fmt.Errorf("wanted node %s, found node %s: %w", target, c.peer.nodeID, ErrWrongNode)
	}
	if err := writePreface(c, preface{source: l.self, target: target}); err != nil {
		return fmt.Errorf("write raft preface: %w", err)
	}
	return readVerdict(c, target)
}

// answer reads the preface of an accepted stream and says what becomes of it.
func (l *raftLayer) answer(c *conn) error {
	if err := l.speaking(); err != nil {
		return err // without an answer it is as good as not there
	}
	p, err := readPreface(c)
	v := verdictWelcome
	switch {
	case errors.Is(err, errPrefaceVersion):
		v = verdictUnsupported
	case err != nil:
		return err // garbage gets no answer
	case p.target != l.self:
		v, err = verdictWrongNode, fmt.Errorf("a raft stream for node %s", p.target)
	case c.peer.proven && c.peer.nodeID != p.source:
		v, err = verdictStranger, fmt.Errorf("node %s says it is node %s", c.peer.nodeID, p.source)
	case l.known != nil && !l.known(p.source):
		v, err = verdictStranger, fmt.Errorf("node %s is not a server of this cluster", p.source)
	}
	return errors.Join(err, writeVerdict(c, v, l.self))
}
