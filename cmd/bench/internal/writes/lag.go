package writes

import (
	"context"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	lagChannel = "lag"
	lagEvery   = 50 * time.Millisecond // one to two times that long between two writes
	lagTimeout = 5 * time.Minute
)

// followerLag measures on an idle cluster how long after the leader's answer a
// write is in a follower's replica. Both processes read CLOCK_MONOTONIC.
func (b *bench) followerLag(ctx context.Context, c *fleet.Cluster) error {
	if b.options.LagSamples == 0 {
		return nil
	}
	leader, _, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	b.progress("follower lag: %d writes", b.options.LagSamples)
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	plan := server.Lag{Channel: lagChannel, Samples: b.options.LagSamples, Every: lagEvery}
	var seen []server.Sighting
	watched := make(chan error, 1)
	follower := c.Others(leader)[0]
	go func() { watched <- follower.Call(ctx, server.LagWatch, plan, &seen) }()
	var acked []server.Sighting
	err = leader.Call(ctx, server.LagWrite, plan, &acked)
	if err != nil {
		cancel()
	}
	if watchErr := <-watched; err == nil {
		err = watchErr
	}
	if err != nil {
		return fmt.Errorf("follower lag: %w", err)
	}
	b.lag, err = lags(acked, seen)
	return err
}

// lags pairs the sightings, in milliseconds. A follower may be faster than the
// answer on its way to the caller: such a lag is 0.
func lags(acked, seen []server.Sighting) ([]float64, error) {
	at := make(map[string]time.Duration)
	for _, s := range seen {
		at[s.UID] = s.At
	}
	var all []float64
	for _, a := range acked {
		s, ok := at[a.UID]
		if !ok {
			return nil, fmt.Errorf("follower lag: %s was acknowledged and never seen", a.UID)
		}
		all = append(all, max(0, milliseconds(s-a.At)))
	}
	return all, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// look returns the index that a server has seen.
func look(ctx context.Context, s *fleet.Server) (server.View, error) {
	var v server.View
	err := s.Call(ctx, server.Look, proc.None{}, &v)
	return v, err
}
