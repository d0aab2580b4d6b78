package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	lagEvery   = 50 * time.Millisecond // one to two times that long between two writes
	lagTimeout = 5 * time.Minute
)

// Lags measures how long after the leader's answer a write is in a follower's
// replica. Both processes read CLOCK_MONOTONIC.
func Lags(ctx context.Context, leader, follower *proc.Process, channel string, samples int) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	plan := server.Lag{Channel: channel, Samples: samples, Every: lagEvery}
	var seen []server.Sighting
	watched := make(chan error, 1)
	go func() { watched <- follower.Call(ctx, server.LagWatch, plan, &seen) }()
	var acked []server.Sighting
	err := leader.Call(ctx, server.LagWrite, plan, &acked)
	if err != nil {
		cancel()
	}
	if watchErr := <-watched; err == nil {
		err = watchErr
	}
	if err != nil {
		return nil, fmt.Errorf("follower lag: %w", err)
	}
	return lags(acked, seen)
}

// lags pairs the sightings. A follower may be faster than the answer on its way to
// the caller: such a lag is 0.
func lags(acked, seen []server.Sighting) ([]time.Duration, error) {
	at := make(map[string]time.Duration)
	for _, s := range seen {
		at[s.UID] = s.At
	}
	var all []time.Duration
	for _, a := range acked {
		s, ok := at[a.UID]
		if !ok {
			return nil, fmt.Errorf("follower lag: %s was acknowledged and never seen", a.UID)
		}
		all = append(all, max(0, s-a.At))
	}
	return all, nil
}
