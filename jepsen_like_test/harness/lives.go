package harness

import (
	"context"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	watchEvery   = 250 * time.Millisecond
	watchTimeout = time.Second // of one answer; who stands still has none
)

// Watch notes, until ctx ends, which lives each server shows: a life that ends and is
// resumed while nobody was restarted is seen in no other way. It is for clusters
// whose servers are all started at least once.
func (c *Cluster) Watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range c.Servers {
		wg.Go(func() { c.watch(ctx, s) })
	}
	wg.Wait()
}

func (c *Cluster) watch(ctx context.Context, s *Server) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.list(ctx, s)
		case <-ctx.Done():
			return
		}
	}
}

// list notes what a server shows; one that does not answer shows nothing.
func (c *Cluster) list(ctx context.Context, s *Server) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	client, err := s.Client()
	if err != nil {
		return
	}
	r, err := client.Servers(ctx, &pb.ServersRequest{})
	if err != nil {
		return
	}
	lives := make(map[string]uint64)
	for _, server := range r.GetServers() {
		lives[server.GetSid()] = server.GetEpoch()
	}
	c.note(history.Event{F: history.Listed, Via: s.SID, Index: r.GetIndex(), Lives: lives})
}
