package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// mux accepts connections, greets each in a goroutine of its own, and sorts
// them into the queues.
type mux struct {
	listener net.Listener
	security *security
	conns    *connSet
	timeout  time.Duration // of a handshake, from accept to the first request
	log      *slog.Logger
	group    *sync.WaitGroup // of the port: run and every greeting

	raft   *raftLayer
	gossip *queue
	calls  *queue
}

// run ends when the listener is closed.
func (m *mux) run(ctx context.Context) {
	var refused int
	var told time.Time
	for {
		raw, err := m.listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			// Out of file descriptors, most likely. Others will be closed; give up for no other reason.
			m.log.Error("cannot accept connections", "error", err)
			if !pause(ctx, 100*time.Millisecond) {
				return
			}
			continue
		}
		c := m.conns.admit(raw, time.Now(), m.timeout)
		if c != nil {
			m.group.Go(func() { m.greet(ctx, c) })
			continue
		}
		// A line now and then: a flood of connections must not become a flood of lines.
		refused++
		if now := time.Now(); now.Sub(told) > 10*time.Second {
			m.log.Warn("connections refused, the limit is reached", "refused", refused)
			refused, told = 0, now
		}
	}
}

// pause returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// greet hands the connection on or closes it. Why it was closed is worth no
// more than a debug line: anybody can cause it as often as they like.
func (m *mux) greet(ctx context.Context, c *conn) {
	remote := c.RemoteAddr()
	if err := m.sort(ctx, c); err != nil {
		_ = c.Close()
		m.log.Debug("connection refused", "remote", remote, "error", err)
	}
}

func (m *mux) sort(ctx context.Context, c *conn) error {
	if err := c.raw.SetDeadline(c.until); err != nil {
		return err
	}
	secured, p, peer, err := m.security.accept(ctx, c.raw)
	if err != nil {
		return err
	}
	c.Conn, c.peer = secured, peer
	c.speaks(p)
	if p == protocolHTTP2 {
		// The deadline stays, and the place among the unfinished, until gRPC has read its preface.
		return m.calls.put(call{c})
	}
	if peer.proven && peer.role != RoleNode {
		return fmt.Errorf("%s speaks %s, which is for servers only", peer.role, p.alpn())
	}
	if p == protocolRaft {
		if err := m.raft.answer(c); err != nil {
			return err
		}
	}
	c.settle()
	if err := c.raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if p == protocolRaft {
		return m.raft.put(c)
	}
	return m.gossip.put(c)
}

// call is a connection as the gRPC server sees it. gRPC sets a deadline when it
// takes the connection and clears it when preface and settings have arrived, and
// touches it at no other time. So a client that sends the first byte and then
// nothing has no second HandshakeTimeout, and keeps its place among the
// unfinished ones until it is finished or closed.
type call struct{ *conn }

func (c call) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.settle()
	} else if t.After(c.until) {
		t = c.until
	}
	return c.conn.SetDeadline(t)
}
