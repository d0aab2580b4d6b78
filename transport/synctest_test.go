package transport

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/pofresh/globalchannel/transport/memnet"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// bubble runs f in a time of its own, in the year 2000.
func bubble(t *testing.T, f func(t *testing.T, net *memnet.Net, secret []byte)) {
	modes(t, func(t *testing.T, secret []byte) {
		synctest.Test(t, func(t *testing.T) { f(t, memnet.New(), secret) })
	})
}

func TestPort_WorksInSimulatedTime(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Network: net.Host("10.0.0.1"), Listen: "10.0.0.1:7400", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:0", Secret: secret})
		if got, err := ping(t, a, b.Addr()); err != nil || got.NodeId != "a" {
			t.Errorf("Ping: %v, %v", got, err)
		}
		if _, _, err := pair(t, a, b, "b"); err != nil {
			t.Errorf("raft: %v", err)
		}
		conn, err := DialClient(t.Context(), b.Addr(), secret, net.Host("10.0.0.9"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statusOf(t.Context(), conn); err != nil {
			t.Errorf("Status: %v", err)
		}
		_ = conn.Close()
	})
}

func TestPort_SilentConnectionEndsAtTheDefaultTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		b, _ := serve(t, Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:7400", Secret: secret})
		for _, said := range []string{"", "P"} {
			c, err := net.Host("10.0.0.9").DialContext(t.Context(), "tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			pause(t.Context(), 3*time.Second) // must not begin a new 5 s, as gRPC's own timeout would
			if _, err := c.Write([]byte(said)); err != nil {
				t.Fatal(err)
			}
			for { // gRPC sends its settings first
				if _, err := c.Read(make([]byte, 64)); err != nil {
					break
				}
			}
			if took := time.Since(begun); secret == nil && took != defaultHandshakeTimeout || took > defaultHandshakeTimeout {
				t.Errorf("after %q open for %v, want %v", said, took, defaultHandshakeTimeout)
			}
			_ = c.Close()
		}
	})
}

func TestPort_SilentFloodDoesNotKeepAClientOut(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		const limit, many = 40, 400
		b, _ := serve(t, Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:7400", Secret: secret, MaxConns: limit, HandshakeTimeout: time.Minute})
		for range many {
			c, err := net.Host("10.0.0.9").DialContext(t.Context(), "tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
		}
		flooded := time.Now()
		// They may stay for a minute, but make room for others sooner.
		eventually(t, func() error {
			conn, err := DialClient(within(t), b.Addr(), secret, net.Host("10.0.0.1"))
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if took, patience := time.Since(flooded), time.Minute/5; took < patience || took > patience+time.Second {
			t.Errorf("a client got in %v after the flood, want %v: in a burst who came first must be able to finish", took, patience)
		}
		if n := countOpen(b); n > limit/4 {
			t.Errorf("%d unfinished handshakes, want at most a quarter of %d", n, limit)
		}
	})
}

func TestPort_HalfOpenConnectionIsFoundAndReplaced(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Network: net.Host("10.0.0.1"), Listen: "10.0.0.1:7400", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:7400", Secret: secret})
		if _, err := ping(t, a, b.Addr()); err != nil {
			t.Fatal(err)
		}
		conn, err := a.Conn(b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // gRPC answers calls a moment before it says that it is ready
		net.Cut("10.0.0.1", "10.0.0.2")
		net.Cut("10.0.0.2", "10.0.0.1")
		cut := time.Now()
		if !conn.WaitForStateChange(within(t), connectivity.Ready) {
			t.Fatalf("%v after the cut the connection is still taken for good", time.Since(cut))
		}
		answered := make(chan error, 1)
		go func() { // a waiting call keeps gRPC trying; without one it would not, and there would be no backoff
			_, err := peerpb.NewPeerClient(conn).Ping(t.Context(), &peerpb.PingRequest{}, grpc.WaitForReady(true))
			answered <- err
		}()
		pause(t.Context(), 8*time.Minute) // an uncapped backoff has grown to its two minutes
		net.HealAll()
		healed := time.Now()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		// A dial that hung is given up after the handshake timeout, and then comes the backoff.
		if took := time.Since(healed); took > defaultHandshakeTimeout+3*time.Second {
			t.Errorf("reconnected %v after healing", took)
		}
		if n := countOpen(b); n > 1 {
			t.Errorf("the server still holds %d connections of one client", n)
		}
	})
}

func TestPort_KeepaliveIsTolerated(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Network: net.Host("10.0.0.1"), Listen: "10.0.0.1:7400", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:7400", Secret: secret})
		if _, err := ping(t, a, b.Addr()); err != nil {
			t.Fatal(err)
		}
		conn, err := a.Conn(b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // gRPC answers calls a moment before it says that it is ready
		ctx, cancel := context.WithTimeout(t.Context(), idleAfter-time.Second)
		defer cancel()
		if conn.WaitForStateChange(ctx, connectivity.Ready) {
			t.Fatalf("the unused connection became %v before its time", conn.GetState())
		}
		if !conn.WaitForStateChange(within(t), connectivity.Ready) || conn.GetState() != connectivity.Idle {
			t.Errorf("unused for %v it is %v, want it idle", idleAfter, conn.GetState())
		}
		synctest.Wait()
		if n := countOpen(b); n != 0 {
			t.Errorf("the server holds %d connections of an idle client", n)
		}
	})
}

func TestPort_CloseDoesNotWaitForeverForAHandler(t *testing.T) {
	bubble(t, func(t *testing.T, net *memnet.Net, secret []byte) {
		a := open(t, Options{NodeID: "a", Network: net.Host("10.0.0.1"), Listen: "10.0.0.1:7400", Secret: secret})
		b, err := Open(Options{NodeID: "b", Network: net.Host("10.0.0.2"), Listen: "10.0.0.2:7400", Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		s := newServices()
		s.lingers = time.Hour
		b.Serve(s.register)
		deliver(t, a, b, s)
		begun := time.Now()
		if err := b.Close(); err == nil {
			t.Error("Close says that all is over")
		}
		if took := time.Since(begun); took != closeCalls {
			t.Errorf("Close took %v, want %v", took, closeCalls)
		}
		if s.ended.Load() != 0 {
			t.Error("the handler ended: nothing was tested")
		}
		pause(t.Context(), 2*s.lingers)
	})
}
