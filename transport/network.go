package transport

import (
	"context"
	"net"
	"time"
)

// Network is where sockets come from. The zero Options use the real one; tests
// use memnet. All methods are called concurrently.
type Network interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// realNetwork is the operating system's. Its keepalive finds the dead end of a
// Raft or gossip stream that nobody writes to (about 30 s, the system's default
// is over two hours): without it a machine that lost power would hold its
// places among the accepted connections for ever.
type realNetwork struct{}

func (realNetwork) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}
}

func (n realNetwork) Listen(network, address string) (net.Listener, error) {
	c := net.ListenConfig{KeepAliveConfig: n.keepAlive()}
	return c.Listen(context.Background(), network, address)
}

func (realNetwork) ListenPacket(network, address string) (net.PacketConn, error) {
	var c net.ListenConfig
	return c.ListenPacket(context.Background(), network, address)
}

func (n realNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: n.keepAlive()}
	return d.DialContext(ctx, network, address)
}
