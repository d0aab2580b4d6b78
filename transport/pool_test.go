package transport

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
	"github.com/pofresh/globalchannel/transport/ports"
)

func TestPool_SharesOneConnectionPerAddress(t *testing.T) {
	p := open(t, Options{NodeID: "a"})
	x, err := p.Conn("127.0.0.1:7400")
	if err != nil {
		t.Fatal(err)
	}
	y, _ := p.Conn("127.0.0.1:7400")
	z, _ := p.Conn("127.0.0.1:7401")
	if x != y || x == z {
		t.Error("want one connection per address")
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:http"} {
		if _, err := p.Conn(bad); err == nil {
			t.Errorf("Conn(%q) succeeded", bad)
		}
	}
}

func TestPool_ForgetsWhatIsNotUsed(t *testing.T) {
	a := open(t, Options{NodeID: "a"})
	b, _ := serve(t, Options{NodeID: "b"})
	now := time.Now()
	idle, err := a.pool.conn("127.0.0.1:7400", now)
	if err != nil {
		t.Fatal(err)
	}
	busy, err := a.pool.conn(b.Addr(), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peerpb.NewPeerClient(busy).Ping(within(t), &peerpb.PingRequest{}); err != nil {
		t.Fatal(err)
	}
	later := now.Add(idleAfter + time.Second)
	if _, err := a.pool.conn("127.0.0.1:7401", later); err != nil {
		t.Fatal(err)
	}
	if s := idle.GetState(); s != connectivity.Shutdown {
		t.Errorf("the unused connection is %v", s)
	}
	// Long not asked for, but gRPC says that it was in use: a caller may hold it.
	if got, _ := a.pool.conn(b.Addr(), later); got != busy {
		t.Error("a connection in use was forgotten")
	}
}

func TestPool_NudgeEndsTheWaitForTheNextAttempt(t *testing.T) {
	a := open(t, Options{NodeID: "a"})
	a.pool = newPool(dialOptions(a.dialer, backoff.Config{BaseDelay: time.Hour, Multiplier: 1, MaxDelay: time.Hour}, "a"))
	defer a.pool.close()
	addrs, err := ports.Free(1) // nobody is given it before there is a server
	if err != nil {
		t.Fatal(err)
	}
	addr := addrs[0]
	conn, err := a.Conn(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peerpb.NewPeerClient(conn).Ping(within(t), &peerpb.PingRequest{}); status.Code(err) != codes.Unavailable {
		t.Fatalf("nobody there: %v", err)
	}
	serve(t, Options{NodeID: "b", Listen: addr})
	a.Nudge("127.0.0.1:1")       // unknown: nothing happens
	eventually(t, func() error { // gRPC fails calls a moment before it says that it waits
		if s := conn.GetState(); s != connectivity.TransientFailure {
			return errors.New(s.String())
		}
		return nil
	})
	a.Nudge(addr)
	if _, err := ping(t, a, addr); err != nil {
		t.Error(err)
	}
}
