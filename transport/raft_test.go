package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// pair is a dialled Raft stream and its accepted end.
func pair(t *testing.T, from, to *Port, target string) (dialled, accepted net.Conn, err error) {
	t.Helper()
	got := make(chan net.Conn, 1)
	go func() {
		if c, err := to.Raft().Accept(); err == nil {
			got <- c
		}
	}()
	dialled, err = from.Raft().Dial(RaftAddress(target, to.Addr()), soon)
	if err != nil {
		return nil, nil, err
	}
	select {
	case accepted = <-got:
	case <-within(t).Done():
		t.Fatal("welcome at one end, not accepted at the other")
	}
	return dialled, accepted, nil
}

func TestRaftLayer_StreamReachesTheNodeThatIsMeant(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Secret: secret, HandshakeTimeout: short})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret, HandshakeTimeout: short})
		dialled, accepted, err := pair(t, a, b, "b")
		if err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), 2*short) // the handshake's deadline must not stay on the stream
		if _, err := dialled.Write([]byte("append")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 6)
		if _, err := io.ReadFull(accepted, buf); err != nil || string(buf) != "append" {
			t.Fatalf("read %q, %v", buf, err)
		}
		if err := dialled.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := accepted.Read(buf); !errors.Is(err, io.EOF) {
			t.Errorf("after the other end closed: %v, want EOF", err)
		}
		_ = accepted.Close()
	})
}

func TestRaftLayer_WrongNodeIsRefused(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret})
		_, err := a.Raft().Dial(RaftAddress("c", b.Addr()), soon)
		if !errors.Is(err, ErrWrongNode) || !strings.Contains(err.Error(), "wanted node c, found node b") {
			t.Errorf("Dial: %v, want %v", err, ErrWrongNode)
		}
		if _, _, err := pair(t, a, b, "b"); err != nil {
			t.Errorf("the right one: %v", err)
		}
	})
}

func TestRaftLayer_ServerRefusesAStreamForAnother(t *testing.T) {
	// The dialling end checks too; here only the server does.
	b, _ := serve(t, Options{NodeID: "b"})
	c := rawDial(t, b.Addr())
	if _, err := c.Write([]byte{byte(protocolRaft)}); err != nil {
		t.Fatal(err)
	}
	if err := writePreface(c, preface{source: "a", target: "c"}); err != nil {
		t.Fatal(err)
	}
	if err := readVerdict(c, "b"); !errors.Is(err, ErrWrongNode) {
		t.Errorf("verdict: %v, want %v", err, ErrWrongNode)
	}
	hungUp(t, c)
}

func TestRaftLayer_NodeMayNotCallItselfAnother(t *testing.T) {
	a := open(t, Options{NodeID: "a", Secret: secretOf("s")})
	b, _ := serve(t, Options{NodeID: "b", Secret: secretOf("s")})
	a.raft.self = "someone else"
	_, _, err := pair(t, a, b, "b")
	if err == nil || !strings.Contains(err.Error(), "does not know this node") {
		t.Errorf("Dial: %v, want a refusal", err)
	}
}

func TestRaftLayer_CertificateCountsMoreThanTheAnswer(t *testing.T) {
	a := open(t, Options{NodeID: "a", Secret: secretOf("s")})
	b, _ := serve(t, Options{NodeID: "b", Secret: secretOf("s")})
	b.raft.self = "c" // answers in another's name
	if _, err := a.Raft().Dial(RaftAddress("c", b.Addr()), soon); !errors.Is(err, ErrWrongNode) {
		t.Errorf("Dial: %v, want %v", err, ErrWrongNode)
	}
}

// silentListener accepts in the kernel and answers nothing: a paused process.
func silentListener(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestRaftLayer_DialEndsWhenNobodyAnswers(t *testing.T) {
	silent := silentListener(t)
	modes(t, func(t *testing.T, secret []byte) {
		a := open(t, Options{NodeID: "a", Secret: secret, HandshakeTimeout: time.Minute})
		begun := time.Now()
		_, err := a.Raft().Dial(RaftAddress("b", silent), short)
		if took := time.Since(begun); err == nil || took > soon/2 || !strings.Contains(err.Error(), "no answer within") {
			t.Errorf("Dial: %v after %v", err, took)
		}
		// And Close ends one that would wait for a minute.
		ended := make(chan error, 1)
		go func() {
			_, err := a.Raft().Dial(RaftAddress("b", silent), 0)
			ended <- err
		}()
		eventually(t, func() error {
			a.dialer.conns.mu.Lock()
			defer a.dialer.conns.mu.Unlock()
			if len(a.dialer.conns.open) == 0 {
				return errors.New("not dialling yet")
			}
			return nil
		})
		_ = a.Raft().Close()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("Dial succeeded")
			}
		case <-within(t).Done():
			t.Error("Dial goes on after Close")
		}
	})
}

func TestRaftLayer_CloseLeavesTheRestOfThePort(t *testing.T) {
	a, _ := serve(t, Options{NodeID: "a"})
	b, _ := serve(t, Options{NodeID: "b"})
	_, accepted, err := pair(t, a, b, "b")
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Raft().Close()
	if _, err := accepted.Read(make([]byte, 1)); err == nil {
		t.Error("an accepted stream outlived the layer")
	}
	if _, err := b.Raft().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want %v", err, net.ErrClosed)
	}
	if _, err := b.Raft().Dial(RaftAddress("a", a.Addr()), soon); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v, want %v", err, net.ErrClosed)
	}
	if _, err := ping(t, a, b.Addr()); err != nil {
		t.Errorf("a call: %v", err)
	}
}

func TestRaftLayer_BadAddressIsNamed(t *testing.T) {
	a := open(t, Options{NodeID: "a"})
	for _, address := range []raft.ServerAddress{"127.0.0.1:1", "", "@127.0.0.1:1"} {
		if _, err := a.Raft().Dial(address, soon); err == nil || !strings.Contains(err.Error(), "NODEID@HOST:PORT") {
			t.Errorf("Dial(%q): %v", address, err)
		}
	}
}

// fast is a transport that shows whether raft's fast path is ever switched on.
type fast struct {
	*raft.NetworkTransport
	handlers, preVotes *atomic.Int64
}

func (f fast) SetHeartbeatHandler(cb func(raft.RPC)) {
	f.handlers.Add(1)
	f.NetworkTransport.SetHeartbeatHandler(cb)
}

func (f fast) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	f.preVotes.Add(1)
	return f.NetworkTransport.RequestPreVote(id, target, args, resp)
}

type countFSM struct{ raft.FSM }

func (countFSM) Apply(l *raft.Log) any { return l.Index }

// startRaft runs raft on a port; the test ends it.
func startRaft(t *testing.T, p *Port, nodeID string, servers []raft.Server, f *fast) *raft.Raft {
	t.Helper()
	f.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: p.Raft(), MaxPool: 3, Timeout: 5 * time.Second, Logger: hclog.NewNullLogger(),
	})
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(nodeID), hclog.NewNullLogger()
	store := raft.NewInmemStore()
	if err := raft.BootstrapCluster(c, store, store, raft.NewDiscardSnapshotStore(), f, raft.Configuration{Servers: servers}); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(c, countFSM{}, store, store, raft.NewDiscardSnapshotStore(), QuietRaft(f))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown().Error(); err != nil { // closes the transport through QuietRaft
			t.Errorf("Shutdown: %v", err)
		}
		if !f.IsShutdown() {
			t.Error("raft's shutdown did not reach the transport")
		}
	})
	return r
}

func TestQuietRaft_ClusterWorksWithoutTheFastPath(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		var handlers, preVotes atomic.Int64
		var ports []*Port
		var servers []raft.Server
		for i := range 3 {
			id := fmt.Sprintf("node-%d", i)
			p, _ := serve(t, Options{NodeID: id, Secret: secret})
			ports = append(ports, p)
			servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: RaftAddress(id, p.Addr())})
		}
		var rafts []*raft.Raft
		for i, p := range ports {
			rafts = append(rafts, startRaft(t, p, fmt.Sprintf("node-%d", i), servers, &fast{handlers: &handlers, preVotes: &preVotes}))
		}
		eventually(t, func() error {
			for _, r := range rafts {
				if r.State() == raft.Leader {
					return r.Apply([]byte("x"), time.Second).Error()
				}
			}
			return errors.New("no leader")
		})
		eventually(t, func() error {
			for i, r := range rafts {
				addr, id := r.LeaderWithID()
				if node, _ := SplitRaftAddress(addr); node == "" || node != string(id) {
					return fmt.Errorf("node %d sees the leader %q at %q", i, id, addr)
				}
			}
			return nil
		})
		if n := handlers.Load(); n != 0 {
			t.Errorf("the heartbeat handler was set %d times", n)
		}
		if preVotes.Load() == 0 {
			t.Error("no pre-vote: QuietRaft hides it")
		}
	})
}

func TestQuietRaft_DoesNotInventPreVote(t *testing.T) {
	_, inmem := raft.NewInmemTransport("")
	bare := struct{ raft.Transport }{inmem}
	if _, ok := QuietRaft(bare).(raft.WithPreVote); ok {
		t.Error("pre-vote without the transport's")
	}
	if _, ok := QuietRaft(inmem).(raft.WithPreVote); !ok {
		t.Error("pre-vote is lost")
	}
}
