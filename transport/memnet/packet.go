package memnet

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	maxPacket      = 65507     // what fits into a UDP packet over IPv4
	packetBuffer   = 256 << 10 // of a receiving socket, in flight included; packets beyond are lost
	packetOverhead = 256       // charged for each packet, so that empty ones are bounded too
)

// packetConn is a net.PacketConn. All methods may be called concurrently.
type packetConn struct {
	process *Process
	local   *net.UDPAddr

	mu             sync.Mutex // guards what follows
	wake           *sync.Cond
	queue          []packet // by time of arrival
	charged        int
	closed         bool
	reading, write *deadline
	arrival        alarm // for the first packet, if it has not arrived
}

type packet struct {
	from netip.AddrPort
	data []byte
	due  time.Time
	held bool // the next one of its sender overtakes it
}

func (p packet) cost() int { return len(p.data) + packetOverhead }

// ListenPacket binds a port of the host for packets; network is udp or udp4, port 0 any free one.
func (p *Process) ListenPacket(network, address string) (net.PacketConn, error) {
	if network != "udp" && network != "udp4" {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	s, err := p.listenPacket(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return s, nil
}

func (p *Process) listenPacket(address string) (*packetConn, error) {
	h := p.host
	at, err := h.resolveOwn(address)
	if err != nil {
		return nil, err
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if p.dead {
		return nil, net.ErrClosed
	}
	port, err := h.pickPort(at.Port(), h.receiving)
	if err != nil {
		return nil, err
	}
	s := newPacketConn(p, &net.UDPAddr{IP: h.addr.AsSlice(), Port: int(port)})
	h.packets[port] = s
	p.sockets[s] = struct{}{}
	return s, nil
}

func newPacketConn(p *Process, local *net.UDPAddr) *packetConn {
	s := &packetConn{process: p, local: local}
	s.wake = sync.NewCond(&s.mu)
	s.reading, s.write = newDeadline(s.wake), newDeadline(s.wake)
	s.arrival.fire = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.awaitFirst()
	}
	return s
}

func (s *packetConn) LocalAddr() net.Addr { return s.local }

// ReadFrom takes the next packet; what does not fit into b is lost. The address is a *net.UDPAddr.
func (s *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	p, err := s.next()
	if err != nil {
		return 0, nil, s.opError("read", nil, err)
	}
	return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
}

func (s *packetConn) next() (packet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return packet{}, net.ErrClosed
		case s.reading.passed():
			return packet{}, os.ErrDeadlineExceeded
		case len(s.queue) > 0 && time.Until(s.queue[0].due) <= 0:
			p := s.queue[0]
			s.queue = slices.Delete(s.queue, 0, 1)
			s.charged -= p.cost()
			s.awaitFirst()
			return p, nil
		}
		s.wake.Wait()
	}
}

// awaitFirst wakes a reader for the first packet, now or when it arrives.
func (s *packetConn) awaitFirst() {
	if len(s.queue) == 0 {
		return
	}
	if wait := time.Until(s.queue[0].due); wait > 0 {
		s.arrival.set(wait)
		return
	}
	s.wake.Broadcast()
}

// WriteTo sends a packet of at most 65,507 bytes, and never waits. Success says nothing about its arrival.
func (s *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if err := s.writeTo(b, addr); err != nil {
		return 0, s.opError("write", addr, err)
	}
	return len(b), nil
}

func (s *packetConn) writeTo(b []byte, addr net.Addr) error {
	if err := s.writeError(); err != nil {
		return err
	}
	to, err := s.process.host.resolvePacket(addr)
	if err != nil {
		return err
	}
	if len(b) > maxPacket {
		return os.NewSyscallError("sendto", syscall.EMSGSIZE)
	}
	h, n := s.process.host, s.process.host.net
	way := link{from: h.addr, to: to.Addr()}
	n.mu.Lock()
	defer n.mu.Unlock()
	peer := n.hosts[to.Addr()]
	if n.vanishes(packets, way) {
		n.sky.touched.Add(1)
		return nil
	}
	if peer == nil {
		return nil
	}
	if r := peer.packets[to.Port()]; r != nil {
		from, fate := netip.AddrPortFrom(h.addr, uint16(s.local.Port)), n.sky.packet(way)
		for _, trip := range fate.trips[:fate.copies] {
			r.take(packet{from: from, data: slices.Clone(b), due: time.Now().Add(trip), held: fate.overtaken})
		}
	}
	return nil
}

func (s *packetConn) writeError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return net.ErrClosed
	case s.write.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// resolvePacket takes any address that prints as one, since wrappers bring their own types.
func (h *Host) resolvePacket(addr net.Addr) (netip.AddrPort, error) {
	switch a := addr.(type) {
	case nil:
		return netip.AddrPort{}, &net.AddrError{Err: "missing address"}
	case *net.UDPAddr:
		if a == nil {
			return netip.AddrPort{}, &net.AddrError{Err: "missing address"}
		}
		if ip, ok := netip.AddrFromSlice(a.IP); ok { // without the text, on every packet of gossip
			return netip.AddrPortFrom(h.ownIfLocal(ip.Unmap()), uint16(a.Port)), nil
		}
	}
	return h.resolve(addr.String())
}

// take queues a packet, or loses it. Net.mu is held.
func (s *packetConn) take(p packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.charged+p.cost() > packetBuffer {
		return
	}
	s.charged += p.cost()
	overtaken := s.overtakenBy(p)
	if p.held {
		p.due = p.due.Add(overtaking)
	}
	first := s.insert(p)
	for _, o := range overtaken {
		o.held, o.due = false, p.due
		first = s.insert(o) || first
	}
	if first || len(overtaken) > 0 {
		s.awaitFirst()
	}
}

// overtakenBy takes out what was held for a packet like this one.
func (s *packetConn) overtakenBy(p packet) (overtaken []packet) {
	if p.held {
		return nil
	}
	now := time.Now()
	s.queue = slices.DeleteFunc(s.queue, func(q packet) bool {
		late := q.held && q.from == p.from && q.due.After(now)
		if late {
			overtaken = append(overtaken, q)
		}
		return late
	})
	return overtaken
}

// insert queues in order of arrival, behind its equals.
func (s *packetConn) insert(p packet) (first bool) {
	i := len(s.queue)
	for i > 0 && p.due.Before(s.queue[i-1].due) {
		i--
	}
	s.queue = slices.Insert(s.queue, i, p)
	return i == 0
}

// loseInFlight is for a cut that begins. Net.mu is held.
func (s *packetConn) loseInFlight(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.queue = slices.DeleteFunc(s.queue, func(p packet) bool {
		lost := p.from.Addr() == from && p.due.After(now)
		if lost {
			s.charged -= p.cost()
		}
		return lost
	})
	s.awaitFirst()
}

// Close wakes ReadFrom, and loses what is queued.
func (s *packetConn) Close() error {
	n := s.process.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return s.opError("close", nil, net.ErrClosed)
	}
	delete(s.process.sockets, s)
	s.killLocked()
	return nil
}

func (s *packetConn) killLocked() {
	delete(s.process.host.packets, uint16(s.local.Port))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.queue = nil
	s.arrival.stop()
	s.reading.clear()
	s.write.clear()
	s.wake.Broadcast()
}

// SetDeadline, SetReadDeadline and SetWriteDeadline are as in net.PacketConn.
func (s *packetConn) SetDeadline(t time.Time) error { return s.setDeadlines(t, s.reading, s.write) }

// SetReadDeadline is described at SetDeadline.
func (s *packetConn) SetReadDeadline(t time.Time) error { return s.setDeadlines(t, s.reading) }

// SetWriteDeadline is described at SetDeadline.
func (s *packetConn) SetWriteDeadline(t time.Time) error { return s.setDeadlines(t, s.write) }

func (s *packetConn) setDeadlines(t time.Time, which ...*deadline) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.opError("set", nil, net.ErrClosed)
	}
	for _, d := range which {
		d.set(t)
	}
	return nil
}

func (s *packetConn) opError(op string, addr net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: s.local, Addr: addr, Err: err}
}
