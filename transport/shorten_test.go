package transport

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Raft must send what was taken off, in order and nothing twice.
func TestCourier_LargeRequestsAreShortenedAndLoseNothing(t *testing.T) {
	var nodes []*largest
	var servers []raft.Server
	for i := range 2 {
		id := fmt.Sprint("node-", i)
		p, _ := serve(t, Options{NodeID: id})
		nodes = append(nodes, &largest{port: p})
		servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: RaftAddress(id, p.Addr())})
	}
	servers[1].Suffrage = raft.Nonvoter
	leader := nodes[0].start(t, "node-0", servers[:1])
	var last raft.ApplyFuture
	for range 60 {
		last = leader.Apply(make([]byte, 256<<10), 0)
	}
	if err := last.Error(); err != nil {
		t.Fatal(err)
	}
	follower := nodes[1].start(t, "node-1", nil)
	if err := leader.AddNonvoter("node-1", servers[1].Address, 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got, want := follower.AppliedIndex(), last.Index(); got < want {
			return fmt.Errorf("applied %d of %d", got, want)
		}
		// What Raft calls applied is on its way to the state machine.
		if got := nodes[1].applied.Load(); got < 60 {
			return fmt.Errorf("applied %d entries of 60", got)
		}
		return nil
	})
	if got := nodes[0].bytes.Load(); got > maxAppendBytes || got < maxAppendBytes/2 {
		t.Errorf("largest request: %d bytes of entries, at most %d are allowed", got, maxAppendBytes)
	}
	if got := nodes[1].applied.Load(); got != 60 {
		t.Errorf("applied %d entries, want 60", got)
	}
}

// The request lives until it is answered, hours if the follower is away.
func TestCourier_HoldsNothingThatItDoesNotSend(t *testing.T) {
	req := new(raft.AppendEntriesRequest)
	for range 64 {
		req.Entries = append(req.Entries, &raft.Log{Data: make([]byte, 256<<10)})
	}
	shorten(req)
	held := 0
	for _, e := range req.Entries[:cap(req.Entries)] {
		if e != nil {
			held += len(e.Data)
		}
	}
	if held != maxAppendBytes {
		t.Errorf("%d entries go out, %d bytes are held, want %d", len(req.Entries), held, maxAppendBytes)
	}
}

// largest is a transport that sees how large requests are, and the state machine over it.
type largest struct {
	*raft.NetworkTransport
	raft.FSM
	port           *Port
	bytes, applied atomic.Int64
}

func (l *largest) Apply(*raft.Log) any { return l.applied.Add(1) }

func (l *largest) AppendEntries(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	var size int64
	for _, e := range req.Entries {
		size += int64(len(e.Data))
	}
	if size > l.bytes.Load() { // one call with entries at a time
		l.bytes.Store(size)
	}
	return l.NetworkTransport.AppendEntries(id, addr, req, resp)
}

func (l *largest) start(t *testing.T, id raft.ServerID, found []raft.Server) *raft.Raft {
	t.Helper()
	l.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: l.port.Raft(), MaxPool: 3, Timeout: soon, Logger: hclog.NewNullLogger()})
	c := raft.DefaultConfig()
	c.LocalID, c.Logger, c.MaxAppendEntries = id, hclog.NewNullLogger(), 256
	store := raft.NewInmemStore()
	courier := NewCourier(l, portReach{l.port})
	r, err := raft.NewRaft(c, l, store, store, raft.NewDiscardSnapshotStore(), QuietRaft(courier))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		courier.StepDown() // or Raft waits for what is held for the follower, which is gone
		if err := r.Shutdown().Error(); err != nil {
			t.Error(err)
		}
	})
	if found != nil {
		if err := r.BootstrapCluster(raft.Configuration{Servers: found}).Error(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error { return r.VerifyLeader().Error() })
	}
	return r
}

type portReach struct{ *Port }

func (p portReach) Probe(ctx context.Context, _ raft.ServerID, addr raft.ServerAddress) error {
	return p.ProbeRaft(ctx, addr)
}
func (p portReach) Cut(id raft.ServerID) { p.CutRaft(string(id)) }
