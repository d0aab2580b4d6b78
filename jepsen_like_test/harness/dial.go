package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/transport"
)

// Dial connects to the process that runs now, and says which it is, from 1. The
// connection reaches no other one: when it breaks, it stays broken. The caller closes it.
func (s *Server) Dial(ctx context.Context) (number int, conn *grpc.ClientConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	s.mu.Lock()
	addr := s.Addr
	s.mu.Unlock()
	before := s.starts.Load()
	conn, err = transport.DialClient(ctx, addr, s.cluster.secret, new(once))
	if err != nil {
		return 0, nil, err
	}
	// No process is started before the last one is gone, so this was one and the same.
	if now := s.starts.Load(); now != before {
		return 0, nil, errors.Join(fmt.Errorf("%s was started anew meanwhile", s.SID), conn.Close())
	}
	return int(before), conn, nil
}

// once is a network for one connection.
type once struct {
	net.Dialer
	used atomic.Bool
}

var errOnce = errors.New("the connection that there was is gone")

// DialContext implements transport.Network.
func (o *once) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if o.used.Swap(true) {
		return nil, errOnce
	}
	return o.Dialer.DialContext(ctx, network, addr)
}

// Listen implements transport.Network. Clients do not listen.
func (o *once) Listen(string, string) (net.Listener, error) { return nil, errors.ErrUnsupported }

// ListenPacket implements transport.Network.
func (o *once) ListenPacket(string, string) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}
