package memnet

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/raft"
)

// gossipWire is memberlist's Transport over one host.
type gossipWire struct {
	host    *Host
	streams net.Listener
	packets net.PacketConn
	in      chan *memberlist.Packet
	conns   chan net.Conn
	done    chan struct{}
	readers sync.WaitGroup
	got     atomic.Int64 // packets
}

func newGossipWire(t *testing.T, h *Host) *gossipWire {
	t.Helper()
	streams, err := h.Listen("tcp", "0.0.0.0:7400")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := h.ListenPacket("udp", streams.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	w := &gossipWire{host: h, streams: streams, packets: packets,
		in: make(chan *memberlist.Packet), conns: make(chan net.Conn), done: make(chan struct{})}
	w.readers.Go(w.acceptAll)
	w.readers.Go(w.receiveAll)
	return w
}

func (w *gossipWire) acceptAll() {
	for {
		conn, err := w.streams.Accept()
		if err != nil {
			return
		}
		select {
		case w.conns <- conn:
		case <-w.done:
			conn.Close()
		}
	}
}

func (w *gossipWire) receiveAll() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := w.packets.ReadFrom(buf)
		if err != nil {
			return
		}
		w.got.Add(1)
		select {
		case w.in <- &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}:
		case <-w.done:
		}
	}
}

func (w *gossipWire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr := w.streams.Addr().(*net.TCPAddr)
	return addr.IP, addr.Port, nil
}

func (w *gossipWire) WriteTo(p []byte, address string) (time.Time, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return time.Time{}, err
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		return time.Time{}, err
	}
	_, err = w.packets.WriteTo(p, &net.UDPAddr{IP: net.ParseIP(host), Port: port})
	return time.Now(), err
}

func (w *gossipWire) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return raftStream{host: w.host}.Dial(raft.ServerAddress(address), timeout)
}

func (w *gossipWire) PacketCh() <-chan *memberlist.Packet { return w.in }
func (w *gossipWire) StreamCh() <-chan net.Conn           { return w.conns }

func (w *gossipWire) Shutdown() error {
	close(w.done)
	w.streams.Close()
	w.packets.Close()
	w.readers.Wait()
	return nil
}

func startGossip(t *testing.T, n *Net, ip string) (*memberlist.Memberlist, *gossipWire) {
	t.Helper()
	conf := memberlist.DefaultLANConfig()
	conf.Name = ip
	wire := newGossipWire(t, n.Host(ip))
	conf.Transport = wire
	conf.LogOutput = io.Discard
	m, err := memberlist.Create(conf)
	if err != nil {
		t.Fatal(err)
	}
	return m, wire
}

// awaitMembers waits up to two minutes until this one sees so many, itself included.
func awaitMembers(t *testing.T, m *memberlist.Memberlist, want int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 1200 {
		if m.NumMembers() == want {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s sees %d members, want %d", m.LocalNode().Name, m.NumMembers(), want)
}

// Gossip needs packets, their addresses, and streams for the first exchange and as a second way to ping.
func TestNet_CarriesMemberlist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		one, wire := startGossip(t, n, a)
		two, _ := startGossip(t, n, b)
		three, _ := startGossip(t, n, c)
		for _, m := range []*memberlist.Memberlist{two, three} {
			if _, err := m.Join([]string{a + ":7400"}); err != nil {
				t.Fatal(err)
			}
		}
		all := []*memberlist.Memberlist{one, two, three}
		for _, m := range all {
			awaitMembers(t, m, 3)
		}
		<-time.After(10 * time.Second) // some rounds of pings
		if wire.got.Load() < 10 {
			t.Errorf("%d packets came: gossip lives on its streams alone", wire.got.Load())
		}
		n.Host(c).Crash()
		awaitMembers(t, one, 2)
		awaitMembers(t, two, 2)
		for _, m := range all {
			if err := m.Shutdown(); err != nil {
				t.Error(err)
			}
		}
		<-time.After(time.Minute) // pings that are still waiting for an answer
		closed(t, n)
	})
}
