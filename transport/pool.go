package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
)

// reconnect is capped at 2 s: gRPC's own cap of 2 minutes would keep a server
// that is back out of reach for as long.
func reconnect() backoff.Config {
	return backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}
}

// dialOptions are those of every gRPC connection that this package makes. The
// target is not resolved by gRPC: the Network does that.
func dialOptions(d *dialer, retry backoff.Config, nodeID string) []grpc.DialOption {
	o := []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := d.dial(ctx, addr, protocolHTTP2, nil)
			if err != nil {
				return nil, err // not c, which would be a nil *conn in a net.Conn
			}
			return c, nil
		}),
		grpc.WithTransportCredentials(handshaken{tls: d.security.server != nil}),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(idleAfter),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: d.timeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout, PermitWithoutStream: true}),
		grpc.WithMaxHeaderListSize(maxHeaderList),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
	}
	if nodeID != "" {
		o = append(o, grpc.WithPerRPCCredentials(stated{nodeID}))
	}
	return o
}

// newClientConn does not connect yet.
func newClientConn(addr string, o []grpc.DialOption) (*grpc.ClientConn, error) {
	if _, port, err := splitHostPort(addr); err != nil || port == 0 {
		return nil, fmt.Errorf("connect to %q: want HOST:PORT", addr)
	}
	return grpc.NewClient("passthrough:///"+addr, o...)
}

// pool holds one gRPC connection per address. gRPC itself closes the sockets of
// one that is idle; the pool forgets it, or a fleet whose addresses change would
// leave one behind for every address there ever was.
type pool struct {
	options []grpc.DialOption

	mu     sync.Mutex         // guards the rest
	conns  map[string]*pooled // nil: closed
	sweeps time.Time          // when the next one is due
}

type pooled struct {
	conn *grpc.ClientConn
	used time.Time // last handed out
}

func newPool(options []grpc.DialOption) *pool {
	return &pool{options: options, conns: make(map[string]*pooled)}
}

func (p *pool) conn(addr string, now time.Time) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, net.ErrClosed)
	}
	p.sweepLocked(now)
	if e := p.conns[addr]; e != nil {
		e.used = now
		return e.conn, nil
	}
	conn, err := newClientConn(addr, p.options)
	if err != nil {
		return nil, err
	}
	p.conns[addr] = &pooled{conn: conn, used: now}
	return conn, nil
}

// sweepLocked forgets what nobody has asked for, and no call has run on, for
// idleAfter: gRPC is idle only when the latter holds.
func (p *pool) sweepLocked(now time.Time) {
	if now.Before(p.sweeps) {
		return
	}
	p.sweeps = now.Add(time.Minute)
	for addr, e := range p.conns {
		if now.Sub(e.used) > idleAfter && e.conn.GetState() == connectivity.Idle {
			delete(p.conns, addr)
			_ = e.conn.Close() // idle: has nothing to wait for
		}
	}
}

// nudge replaces a connection that waits before its next attempt: the next call
// dials at once. (gRPC's own ResetConnectBackoff ranges over a map that gRPC fills
// at the same time, without its lock: as of v1.85.0 it can end the process.)
func (p *pool) nudge(addr string) {
	p.mu.Lock()
	e := p.conns[addr]
	waits := e != nil && e.conn.GetState() == connectivity.TransientFailure
	if waits {
		delete(p.conns, addr)
	}
	p.mu.Unlock()
	if waits {
		_ = e.conn.Close() // calls on it were failing anyway
	}
}

func (p *pool) close() {
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, e := range conns {
		_ = e.conn.Close()
	}
}
