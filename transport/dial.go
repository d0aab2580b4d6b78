package transport

import (
	"context"
	"fmt"
	"net"
	"time"
)

// dialer opens secured connections and knows those that are open.
type dialer struct {
	network  Network
	security *security
	conns    *connSet
	timeout  time.Duration // for everything up to the first request, unless the context is shorter
}

// dial connects and secures; greet, if not nil, then says hello on the
// connection. All of it ends with ctx.
func (d *dialer) dial(ctx context.Context, addr string, p protocol, greet func(*conn) error) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("no answer within %v: %w", d.timeout, context.DeadlineExceeded))
	defer cancel()
	raw, err := d.network.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err // names the address
	}
	c := d.conns.admit(raw, time.Now(), d.timeout)
	if c == nil {
		return nil, fmt.Errorf("dial %s: %w", addr, net.ErrClosed)
	}
	c.speaks(p)
	stop := context.AfterFunc(ctx, c.cut) // wakes whatever waits for the peer
	err = d.introduce(ctx, c, addr, p, greet)
	if !stop() {
		err = context.Cause(ctx) // the connection's own error would only say that it is closed
	}
	if err != nil {
		c.cut()
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	c.settle()
	return c, nil
}

func (d *dialer) introduce(ctx context.Context, c *conn, addr string, p protocol, greet func(*conn) error) error {
	secured, peer, err := d.security.secure(ctx, c.raw, addr, p)
	if err != nil {
		return err
	}
	if peer.proven && peer.role != RoleNode {
		return fmt.Errorf("the other end is a %s, not a server", peer.role)
	}
	c.Conn, c.peer = secured, peer
	if greet == nil {
		return nil
	}
	return greet(c)
}
