package workload

import (
	"context"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// lives are the epochs that clients were last told of.
type lives struct {
	mu     sync.Mutex // guards epochs
	epochs map[string]uint64
}

// of is the life of sid; 0: of none was heard.
func (l *lives) of(sid string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs[sid]
}

// learn asks a server who is there now, and notes what it says: that is how a run
// knows when lives begin and end.
func (l *lives) learn(ctx context.Context, server Server, h *history.Recorder) {
	client, err := server.Client()
	if err != nil {
		return
	}
	r, err := client.Servers(ctx, &pb.ServersRequest{})
	if err != nil {
		return // whoever needs it asks again
	}
	listed := make(map[string]uint64)
	for _, s := range r.GetServers() {
		listed[s.GetSid()] = s.GetEpoch()
	}
	h.Note(history.Event{F: history.Listed, Via: server.ID(), Index: r.GetIndex(), Lives: listed})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epochs == nil {
		l.epochs = make(map[string]uint64)
	}
	for sid, epoch := range listed {
		l.epochs[sid] = max(l.epochs[sid], epoch)
	}
}

// watch lists the servers at each of them until ctx ends. A life that begins and ends
// between two listings is not seen, so every should be far below what a life lasts.
func watch(ctx context.Context, servers []Server, every, timeout time.Duration, h *history.Recorder) {
	var wg sync.WaitGroup
	for _, server := range servers {
		wg.Go(func() {
			var seen lives
			pause := time.NewTimer(0)
			defer pause.Stop()
			for connected(ctx, server) {
				select {
				case <-pause.C:
				case <-ctx.Done():
					return
				}
				within(ctx, timeout, func(ctx context.Context) { seen.learn(ctx, server, h) })
				pause.Reset(every)
			}
		})
	}
	wg.Wait()
}
