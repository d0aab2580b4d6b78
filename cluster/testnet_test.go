package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// simNet is a network in memory, small but enough for memberlist and for
// testing/synctest: all blocking is on channels and pipes.
type simNet struct {
	mu      sync.Mutex // guards what follows
	packets map[string]*simPackets
	streams map[string]*simListener
	cut     func(from, to string) bool // of addresses; nil: whole
	recut   chan struct{}              // closed when cut changes
}

func newSimNet() *simNet {
	return &simNet{packets: map[string]*simPackets{}, streams: map[string]*simListener{}, recut: make(chan struct{})}
}

func (n *simNet) setCut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
	close(n.recut)
	n.recut = make(chan struct{})
}

func (n *simNet) isCut(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut != nil && n.cut(from, to)
}

func (n *simNet) open(addr string) (net.PacketConn, net.Listener, func(context.Context, string) (net.Conn, error)) {
	at := net.UDPAddrFromAddrPort(mustAddrPort(addr))
	p := &simPackets{net: n, at: at, in: make(chan simPacket, 512), done: make(chan struct{})}
	l := &simListener{net: n, at: (*net.TCPAddr)(at), in: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.packets[addr], n.streams[addr] = p, l
	return p, l, func(ctx context.Context, to string) (net.Conn, error) { return n.dial(ctx, addr, to) }
}

func (n *simNet) dial(ctx context.Context, from, to string) (net.Conn, error) {
	for {
		n.mu.Lock()
		recut := n.recut
		n.mu.Unlock()
		if !n.isCut(from, to) && !n.isCut(to, from) {
			break
		}
		select {
		case <-recut: // TCP sends its SYN again
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n.mu.Lock()
	l := n.streams[to]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	here, there := net.Pipe()
	select {
	case l.in <- there:
		return here, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type simPacket struct {
	b    []byte
	from net.Addr
}

type simPackets struct {
	net.PacketConn // deadlines are not used
	net            *simNet
	at             *net.UDPAddr
	in             chan simPacket
	done           chan struct{}
	once           sync.Once
}

func (p *simPackets) LocalAddr() net.Addr { return p.at }

func (p *simPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case m := <-p.in:
		return copy(b, m.b), m.from, nil
	case <-p.done:
		return 0, nil, net.ErrClosed
	}
}

func (p *simPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if p.net.isCut(p.at.String(), to.String()) {
		return len(b), nil
	}
	p.net.mu.Lock()
	target := p.net.packets[to.String()]
	p.net.mu.Unlock()
	if target != nil {
		select {
		case target.in <- simPacket{append([]byte(nil), b...), p.at}:
		default: // a full queue drops, as the kernel's does
		}
	}
	return len(b), nil
}

func (p *simPackets) Close() error {
	err := net.ErrClosed
	p.once.Do(func() {
		err = nil
		close(p.done)
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		if p.net.packets[p.at.String()] == p {
			delete(p.net.packets, p.at.String())
		}
	})
	return err
}

type simListener struct {
	net  *simNet
	at   *net.TCPAddr
	in   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *simListener) Addr() net.Addr { return l.at }

func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *simListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = nil
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.streams[l.at.String()] == l {
			delete(l.net.streams, l.at.String())
		}
	})
	return err
}

// realSockets binds one free port for TCP and UDP.
func realSockets(t testing.TB) (net.PacketConn, net.Listener, string) {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("listen: %v", err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return p, l, l.Addr().String()
		}
		l.Close()
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("listen packet: %v", err)
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return nil, nil, ""
}

func realDial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// eventually waits for a condition, in real or simulated time.
func eventually(t testing.TB, within time.Duration, what string, f func() string) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := f()
		if last == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %s", what, within, last)
		case <-tick.C:
		}
	}
}

// pass lets simulated time go by, to show that something does not happen in it.
func pass(d time.Duration) { <-time.After(d) }
