package memnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// DialContext connects to a listener of any host; network is tcp or tcp4. It takes one round trip, waits as long as a
// direction is cut or the listener's backlog is full, and ends with the context's error inside a *net.OpError.
// Without a listener it is refused with syscall.ECONNREFUSED.
func (p *Process) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !isStream(network) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.UnknownNetworkError(network)}
	}
	to, err := p.host.resolve(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := p.dial(ctx, to)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	return c, nil
}

func isStream(network string) bool { return network == "tcp" || network == "tcp4" }

func (p *Process) dial(ctx context.Context, to netip.AddrPort) (*conn, error) {
	sky, there := p.host.net.sky, link{from: p.host.addr, to: to.Addr()}
	if err := sleep(ctx, sky.stream(there, 0, dialRetransmission)); err != nil {
		return nil, err
	}
	c, refused := p.connectWhenOpen(ctx, to)
	if err := sleep(ctx, sky.stream(there.back(), 0, dialRetransmission)); err != nil { // the answer's way back; a refusal takes it too
		if c != nil {
			c.abort()
		}
		return nil, err
	}
	return c, refused
}

// sleep ends early, with the context's error, if the context does.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Process) connectWhenOpen(ctx context.Context, to netip.AddrPort) (*conn, error) {
	for {
		c, wait, err := p.connect(to)
		if wait == nil {
			return c, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connect makes the two ends and queues the far one for Accept. A channel instead means: no answer yet, try
// again when it is closed.
func (p *Process) connect(to netip.AddrPort) (*conn, <-chan struct{}, error) {
	n := p.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.dead {
		return nil, nil, net.ErrClosed
	}
	there := link{from: p.host.addr, to: to.Addr()}
	if n.vanishes(streams, there) || n.vanishes(streams, there.back()) {
		return nil, n.changed, nil // an answer that cannot come back is none
	}
	var l *listener
	if h := n.hosts[to.Addr()]; h != nil {
		l = h.listeners[to.Port()]
	}
	if l == nil {
		return nil, nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	if len(l.backlog) == cap(l.backlog) {
		l.full = true
		return nil, n.changed, nil // the kernel drops the SYN, which is sent again
	}
	port, err := p.host.pickPort(0, p.host.listening)
	if err != nil {
		return nil, nil, err
	}
	near, far := newPair(p, l.process, netip.AddrPortFrom(p.host.addr, port), to)
	l.backlog <- far // never blocks: only connect sends, and under the lock
	return near, nil, nil
}
