package node_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// countingNetwork counts what one server's TCP connections carry, both ways.
type countingNetwork struct {
	net.Dialer
	net.ListenConfig
	bytes atomic.Int64
}

func (n *countingNetwork) Listen(network, address string) (net.Listener, error) {
	l, err := n.ListenConfig.Listen(context.Background(), network, address)
	return countingListener{l, n}, err
}

func (n *countingNetwork) ListenPacket(network, address string) (net.PacketConn, error) {
	return n.ListenConfig.ListenPacket(context.Background(), network, address)
}

func (n *countingNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := n.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return countingConn{c, n}, nil
}

type countingListener struct {
	net.Listener
	n *countingNetwork
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countingConn{c, l.n}, nil
}

type countingConn struct {
	net.Conn
	n *countingNetwork
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.bytes.Add(int64(n))
	return n, err
}

func TestPush_OfManyMembersCostsNoMoreBytesThanOfOne(t *testing.T) {
	ctx := within(t)
	start := func(cfg node.Config) *node.Node {
		n, err := node.Start(ctx, cfg)
		must(t, err)
		t.Cleanup(func() { must(t, n.Close()) })
		must(t, n.Ready(ctx))
		return n
	}
	network := new(countingNetwork)
	pusher := start(node.Config{SID: "pusher", SType: "chat", Network: network})
	handled := 0
	start(node.Config{
		SID: "connector", SType: "connector", Join: []string{pusher.Self().Addr}, NonVoter: true,
		OnPush: func(_ context.Context, d *node.Delivery) ([]string, error) {
			handled += d.Len()
			return nil, nil
		},
	})
	const many, payload, limit = 20_000, 100, 512
	for from := 0; from < many; from += 1000 {
		uids := make([]string, 1000)
		for i := range uids {
			uids[i] = fmt.Sprintf("player-%06d", from+i)
		}
		_, err := pusher.Apply(ctx, node.AddOps("many", "connector", uids...)...)
		must(t, err)
	}
	must(t, pusher.Add(ctx, "one", "alice", "connector"))
	for name, members := range map[string]int{"one": 1, "many": many} {
		push := func() {
			r, err := pusher.PushMessage(ctx, "connector", "chat", make([]byte, payload), name, node.PushOptions{})
			if err != nil || !r.OK() || r.Members != members {
				t.Fatalf("%v %+v", err, r)
			}
		}
		push() // its connection, and who is behind
		push()
		handled = 0
		least := int64(limit * 100)
		for range 20 { // what else the servers say to each other is in some of them
			before := network.bytes.Load()
			push()
			least = min(least, network.bytes.Load()-before)
		}
		if least -= payload; least > limit || handled != 20*members {
			t.Errorf("%s: a push of %d bytes to %d members took %d bytes more, and %d deliveries", name, payload, members, least, handled)
		}
	}
}
