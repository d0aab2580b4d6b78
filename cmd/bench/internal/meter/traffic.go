package meter

import (
	"context"
	"net"
	"sync/atomic"
)

// Traffic is the operating system's network, and counts what is sent over it. It
// satisfies node.Network.
//
// A node dials for Raft's streams and for its questions to others; on connections
// that it accepted it answers.
type Traffic struct{ dialled, accepted, packets, received atomic.Uint64 }

// Sent is what a process has sent since it started, in bytes without the headers of
// TCP, UDP and IP.
type Sent struct {
	Dialled  uint64 `json:"dialled"`  // on connections to others
	Accepted uint64 `json:"accepted"` // on connections of others
	Packets  uint64 `json:"packets"`  // of gossip
	Received uint64 `json:"received"` // on all connections
}

// Sent reads the counters.
func (t *Traffic) Sent() Sent {
	return Sent{Dialled: t.dialled.Load(), Accepted: t.accepted.Load(), Packets: t.packets.Load(), Received: t.received.Load()}
}

// Listen implements node.Network.
func (t *Traffic) Listen(network, address string) (net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &countedListener{l, t}, nil
}

// ListenPacket implements node.Network.
func (t *Traffic) ListenPacket(network, address string) (net.PacketConn, error) {
	var c net.ListenConfig
	p, err := c.ListenPacket(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return &countedPackets{p, t}, nil
}

// DialContext implements node.Network.
func (t *Traffic) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{c, &t.dialled, &t.received}, nil
}

type countedListener struct {
	net.Listener
	t *Traffic
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, &l.t.accepted, &l.t.received}, nil
}

type countedConn struct {
	net.Conn
	sent, received *atomic.Uint64
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(uint64(n))
	return n, err
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(uint64(n))
	return n, err
}

type countedPackets struct {
	net.PacketConn
	t *Traffic
}

func (p *countedPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := p.PacketConn.WriteTo(b, to)
	p.t.packets.Add(uint64(n))
	return n, err
}
