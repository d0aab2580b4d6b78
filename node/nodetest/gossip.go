package nodetest

import (
	"bytes"
	"context"
	"net"
)

// A server's packets are gossip, all of them. Of its connections those are that
// begin with the byte for gossip, or under TLS ask for that protocol in the clear.
const (
	gossipByte = 0x02
	gossipALPN = "gc-gossip"
)

// ListenPacket is memnet's, but for what is lost while gossip is cut.
func (p *process) ListenPacket(network, address string) (net.PacketConn, error) {
	c, err := p.Process.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	return &gossipPackets{c, p.machine}, nil
}

type gossipPackets struct {
	net.PacketConn
	machine *machine
}

func (c *gossipPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.machine.gossip.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// DialContext is memnet's, but for what is lost while gossip is cut.
func (p *process) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := p.Process.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &gossipStream{Conn: c, machine: p.machine}, nil
}

// gossipStream is a connection that may turn out to be one. It is written to by one
// goroutine at a time, as what it begins with is.
type gossipStream struct {
	net.Conn
	machine *machine
	begun   bool
	gossip  bool
}

func (c *gossipStream) Write(b []byte) (int, error) {
	if !c.begun && len(b) > 0 {
		c.begun, c.gossip = true, b[0] == gossipByte || bytes.Contains(b, []byte(gossipALPN))
	}
	if c.gossip && c.machine.gossip.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
