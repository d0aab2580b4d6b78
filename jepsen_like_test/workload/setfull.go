package workload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// SType is what all servers and frontends of a run are.
const SType = "connector"

// Server is one that workers talk to.
type Server interface {
	ID() string // its sid
	Client() (pb.GlobalChannelClient, error)
	Connect(ctx context.Context) error // returns when the connection stands
}

// SetFull is workers on all servers who add distinct members to a few channels,
// take some of them out again, and read. Each worker writes its own uids only, so
// what became of every single one can be told from the history. They read in every
// way there is, each of which is then held to its own promise.
type SetFull struct {
	Servers  []Server
	SIDs     []string // what members are put on; nil: the servers' own
	Workers  int      // each on the server of its number, modulo
	Channels int
	Seed     uint64
	Timeout  time.Duration // of one operation
	Pause    time.Duration // between two operations of a worker
	Oldest   time.Duration // how old the answer to a read may be that bounds its age; 0: 300 ms
	Watch    time.Duration // between two listings of the servers at each of them; 0: they are listed when a worker needs it
	History  *history.Recorder

	writes progress // acknowledged, by the server that was asked

	lives lives
}

// Run works until ctx ends and every operation has returned.
func (s *SetFull) Run(ctx context.Context) {
	sids := s.sids()
	var wg sync.WaitGroup
	for i := range s.Workers {
		w := newWorker(s, i+1, s.Servers[i%len(s.Servers)], sids)
		wg.Go(func() { w.run(ctx) })
	}
	if s.Watch > 0 {
		wg.Go(func() { watch(ctx, s.Servers, s.Watch, s.Timeout, s.History) })
	}
	wg.Wait()
}

func (s *SetFull) sids() []string {
	if s.SIDs != nil {
		return s.SIDs
	}
	var sids []string
	for _, server := range s.Servers {
		sids = append(sids, server.ID())
	}
	return sids
}

// Await waits until n more writes are acknowledged, each of via by itself.
func (s *SetFull) Await(ctx context.Context, n int, via ...string) error {
	return s.writes.goal("writes", n, via)(ctx)
}

// ReadAll reads every channel at every server in every way, at least as fresh as
// index: after the load, this is the verdict.
func (s *SetFull) ReadAll(ctx context.Context, index uint64, stype string) error {
	for _, server := range s.Servers {
		for c := range s.Channels {
			for _, filter := range s.filters(stype) {
				filter.Via, filter.Channel, filter.MinIndex = server.ID(), channel(c), index
				if err := read(ctx, s.History, server, filter); err != nil {
					return fmt.Errorf("read %s at %s: %w", filter.Channel, filter.Via, err)
				}
			}
		}
	}
	return nil
}

// filters are the three ways to list a channel: everybody, a server's, a type's.
func (s *SetFull) filters(stype string) []history.Event {
	ways := []history.Event{{}, {SType: stype}}
	for _, sid := range s.sids() {
		ways = append(ways, history.Event{SID: sid})
	}
	return ways
}

func channel(i int) string { return fmt.Sprintf("room-%d", i) }
