package transport

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// connSet knows every open connection of one direction, so that they can be
// counted and cut. For accepted ones it is also the doorkeeper: it bounds how
// many there are, and how many of them have not yet finished their handshake.
//
// When all places for unfinished handshakes are taken, a newcomer takes that of
// the oldest one, if that is older than patience: under a flood of silent
// connections a real client, whose handshake takes milliseconds, still gets in.
// If none is that old, the newcomer is refused: in a burst of honest clients
// (a fleet restarts) those who came first finish, instead of all pushing each
// other out.
type connSet struct {
	limit    int           // of open connections; 0: none
	slots    int           // of unfinished handshakes among them
	patience time.Duration // see above

	mu      sync.Mutex         // guards the rest, and protocol and place of each connection
	closed  bool               // nothing is admitted any more
	open    map[*conn]struct{} // all of them
	shaking list.List          // of *conn whose handshake is not finished, oldest first
}

func newConnSet(limit int, handshakeTimeout time.Duration) *connSet {
	return &connSet{limit: limit, slots: max(limit/4, 1), patience: handshakeTimeout / 5, open: make(map[*conn]struct{})}
}

// admit takes a connection in, or closes it and returns nil. The handshake may
// take until begun + timeout.
func (s *connSet) admit(raw net.Conn, begun time.Time, timeout time.Duration) *conn {
	c := &conn{Conn: raw, raw: raw, set: s, begun: begun, until: begun.Add(timeout)}
	admitted, evicted := s.enter(c)
	if evicted != nil {
		_ = evicted.raw.Close()
	}
	if !admitted {
		_ = raw.Close()
		return nil
	}
	return c
}

func (s *connSet) enter(c *conn) (admitted bool, evicted *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	if s.limit > 0 && (len(s.open) >= s.limit || s.shaking.Len() >= s.slots) {
		oldest := s.shaking.Front()
		if oldest == nil || c.begun.Sub(oldest.Value.(*conn).begun) < s.patience {
			return false, nil
		}
		evicted = oldest.Value.(*conn)
		s.leaveLocked(evicted)
	}
	s.open[c] = struct{}{}
	c.place = s.shaking.PushBack(c)
	return true, evicted
}

// leaveLocked may be called again for the same connection.
func (s *connSet) leaveLocked(c *conn) {
	delete(s.open, c)
	s.settleLocked(c)
}

func (s *connSet) settleLocked(c *conn) {
	if c.place != nil {
		s.shaking.Remove(c.place)
		c.place = nil
	}
}

// cut closes all connections of one protocol, without any goodbye.
func (s *connSet) cut(p protocol) {
	s.cutThose(func(c *conn) bool { return c.protocol == p })
}

// cutTo closes the Raft streams that were dialled to a node.
func (s *connSet) cutTo(nodeID string) {
	s.cutThose(func(c *conn) bool { return c.protocol == protocolRaft && c.target == nodeID })
}

func (s *connSet) cutThose(meant func(*conn) bool) {
	s.mu.Lock()
	var found []*conn
	for c := range s.open {
		if meant(c) {
			found = append(found, c)
			s.leaveLocked(c)
		}
	}
	s.mu.Unlock()
	closeRaw(found)
}

// close cuts everything and admits nothing any more.
func (s *connSet) close() {
	s.mu.Lock()
	s.closed = true
	found := make([]*conn, 0, len(s.open))
	for c := range s.open {
		found = append(found, c)
		s.leaveLocked(c)
	}
	s.mu.Unlock()
	closeRaw(found)
}

func closeRaw(conns []*conn) {
	for _, c := range conns {
		_ = c.raw.Close()
	}
}

// conn is a connection in a connSet, and what is known about it.
type conn struct {
	net.Conn          // what is read and written: raw, or TLS on it. Set before the connection is handed on
	raw      net.Conn // below TLS. Closing it never blocks, where TLS may wait 5 s to say goodbye to a peer that does not read
	set      *connSet
	peer     identity // set before the connection is handed on

	begun, until time.Time     // the handshake
	protocol     protocol      // guarded by set.mu
	target       string        // node id that a Raft stream was dialled to; guarded by set.mu
	place        *list.Element // in set.shaking while the handshake lasts; guarded by set.mu
}

// speaks notes what is spoken on the connection, for cut.
func (c *conn) speaks(p protocol) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.protocol = p
}

// isFor notes which node a Raft stream is dialled to, for cutTo.
func (c *conn) isFor(nodeID string) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.target = nodeID
}

// settle ends the handshake: the connection is no longer in anybody's way.
func (c *conn) settle() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.set.settleLocked(c)
}

// Close says goodbye if there is TLS, and gives the place free.
func (c *conn) Close() error {
	c.set.mu.Lock()
	c.set.leaveLocked(c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// cut closes without a goodbye; for a peer that did not behave, or a dial that
// was given up.
func (c *conn) cut() {
	c.set.mu.Lock()
	c.set.leaveLocked(c)
	c.set.mu.Unlock()
	_ = c.raw.Close()
}
