package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

func TestPort_ServersKnowEachOther(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a := open(t, Options{NodeID: "a", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret})
		got, err := ping(t, a, b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if got.NodeId != "a" || got.Sid != RoleNode {
			t.Errorf("the caller was %s, a %s; want a, a node", got.NodeId, got.Sid)
		}
	})
}

func TestPeerRole_OutsideAPortIsAClient(t *testing.T) {
	if id, role := PeerRole(t.Context()); id != "" || role != RoleClient {
		t.Errorf("PeerRole = %q, %q", id, role)
	}
}

func TestPort_GossipStreamsAndPacketsPass(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret})
		dialled, err := a.Gossip().Dial(within(t), b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := b.Gossip().Streams.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dialled.Write([]byte("push/pull")); err != nil {
			t.Fatal(err)
		}
		if err := dialled.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(accepted); err != nil || string(got) != "push/pull" {
			t.Errorf("read %q, %v", got, err)
		}
		_ = accepted.Close()

		to, err := net.ResolveUDPAddr("udp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Gossip().Packets.WriteTo([]byte("ping"), to); err != nil {
			t.Fatal(err)
		}
		if err := b.Gossip().Packets.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		n, from, err := b.Gossip().Packets.ReadFrom(buf)
		if err != nil || string(buf[:n]) != "ping" || from.String() != a.Addr() {
			t.Errorf("packet %q from %v, %v; want ping from %s", buf[:n], from, err, a.Addr())
		}
	})
}

// crowded refuses the first few packet sockets, as where the number that TCP
// got is taken for UDP.
type crowded struct {
	realNetwork
	mu       sync.Mutex // guards refusals
	refusals int
}

func (c *crowded) ListenPacket(network, address string) (net.PacketConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals > 0 {
		c.refusals--
		return nil, &net.OpError{Op: "listen", Net: network, Err: syscall.EADDRINUSE}
	}
	return c.realNetwork.ListenPacket(network, address)
}

func TestOpen_LooksForANumberThatIsFreeTwice(t *testing.T) {
	p := open(t, Options{NodeID: "a", Network: &crowded{refusals: 3}})
	if tcp, udp := p.gossip.Addr().String(), p.Gossip().Packets.LocalAddr().String(); tcp != udp || tcp != p.Addr() {
		t.Errorf("TCP on %s, UDP on %s, Addr %s", tcp, udp, p.Addr())
	}
	if _, err := Open(Options{NodeID: "a", Network: &crowded{refusals: bindAttempts}}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Open: %v, want %v", err, syscall.EADDRINUSE)
	}
}

func deliver(t *testing.T, a, b *Port, s *services) peerpb.Peer_DeliverClient {
	t.Helper()
	conn, err := a.Conn(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := peerpb.NewPeerClient(conn).Deliver(within(t))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.delivering:
	case <-within(t).Done():
		t.Fatal("the call did not begin")
	}
	return stream
}

func TestPort_EndStreamsLetsRunningCallsFinish(t *testing.T) {
	a := open(t, Options{NodeID: "a"})
	b, s := serve(t, Options{NodeID: "b"})
	stream := deliver(t, a, b, s)
	ended := make(chan struct{})
	go func() {
		b.EndStreams(within(t))
		close(ended)
	}()
	// New calls are refused while the old one still runs.
	eventually(t, func() error {
		conn, err := a.Conn(b.Addr())
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		if _, err := peerpb.NewPeerClient(conn).Ping(ctx, &peerpb.PingRequest{}); status.Code(err) != codes.Unavailable {
			return errors.Join(errors.New("not refused"), err)
		}
		return nil
	})
	close(s.release)
	if got, err := stream.Recv(); err != nil || got.Reason != "released" {
		t.Errorf("the running call: %v, %v", got, err)
	}
	select {
	case <-ended:
	case <-within(t).Done():
		t.Error("EndStreams waits after the last call")
	}
}

func TestPort_EndStreamsCutsAHangingCallAndAnUnfinishedPreface(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a := open(t, Options{NodeID: "a", Secret: secret})
		b, s := serve(t, Options{NodeID: "b", Secret: secret, HandshakeTimeout: time.Minute})
		stream := deliver(t, a, b, s)
		if secret == nil {
			if _, err := rawDial(t, b.Addr()).Write([]byte("P")); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() error { // until it is with gRPC
				if countOpen(b) < 2 {
					return errors.New("not accepted yet")
				}
				return nil
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		b.EndStreams(ctx)
		if took := time.Since(begun); took > soon/2 {
			t.Errorf("EndStreams took %v", took)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the hanging call: %v, want Unavailable", err)
		}
		// Raft goes on.
		if _, _, err := pair(t, a, b, "b"); err != nil {
			t.Errorf("raft: %v", err)
		}
	})
}

func TestPort_CloseEndsEverything(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, as := serve(t, Options{NodeID: "a", Secret: secret})
		b, bs := serve(t, Options{NodeID: "b", Secret: secret})
		incoming, outgoing := deliver(t, a, b, bs), deliver(t, b, a, as)
		dialled, accepted, err := pair(t, a, b, "b")
		if err != nil {
			t.Fatal(err)
		}
		rawDial(t, b.Addr()) // in its handshake
		var all sync.WaitGroup
		for range 3 { // at the same time, and again
			all.Go(func() {
				if err := b.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
		if n := bs.ended.Load(); n != 1 {
			t.Errorf("Close returned with %d of 1 handlers ended", n)
		}
		for name, stream := range map[string]peerpb.Peer_DeliverClient{"incoming": incoming, "outgoing": outgoing} {
			if _, err := stream.Recv(); err == nil {
				t.Errorf("the %s call goes on", name)
			}
		}
		for _, c := range []net.Conn{dialled, accepted} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("a raft stream goes on")
			}
		}
		if _, err := b.Conn(a.Addr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Conn: %v, want %v", err, net.ErrClosed)
		}
		if _, err := b.Gossip().Dial(within(t), a.Addr()); err == nil {
			t.Error("gossip still dials")
		}
		if _, err := b.Gossip().Streams.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, want %v", err, net.ErrClosed)
		}
		b.Serve(nil)
		b.EndStreams(within(t))
		again := open(t, Options{NodeID: "c", Listen: b.Addr()}) // the number is free
		_ = again
	})
}

func TestPort_CloseWithoutServe(t *testing.T) {
	p := open(t, Options{NodeID: "a"})
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
