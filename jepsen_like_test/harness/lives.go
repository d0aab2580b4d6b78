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
			_, _ = c.List(ctx, s) // one that does not answer shows nothing
		case <-ctx.Done():
			return
		}
	}
}

// List notes which lives a server shows, and returns those of servers: attached frontends
// come and go as clients do.
func (c *Cluster) List(ctx context.Context, s *Server) (lives map[string]uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	client, err := s.Client()
	if err != nil {
		return nil, err
	}
	r, err := client.Servers(ctx, &pb.ServersRequest{})
	if err != nil {
		return nil, err
	}
	all := make(map[string]uint64)
	lives = make(map[string]uint64)
	for _, server := range r.GetServers() {
		all[server.GetSid()] = server.GetEpoch()
		if server.GetVia() == "" {
			lives[server.GetSid()] = server.GetEpoch()
		}
	}
	c.note(history.Event{F: history.Listed, Via: s.SID, Index: r.GetIndex(), Lives: all})
	return lives, nil
}
