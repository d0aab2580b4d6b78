package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	roundTimeout = 2 * time.Minute
	// At which moment between two heartbeats a leader dies must not be always the same.
	phase = 200 * time.Millisecond
)

// Kill kills the leader and tells how long it was until the next acknowledged
// write, at any survivor.
func (c *Cluster) Kill(ctx context.Context) (took time.Duration, sums server.PulseSum, err error) {
	sums, err = c.Round(ctx, func(ctx context.Context, leader *Server, survivors []*Server) error {
		killed := meter.Now()
		leader.Kill()
		// The dead cannot acknowledge what began only after it was gone.
		first, err := FirstAcks(ctx, survivors, meter.Now())
		took = first.Earliest - killed
		return err
	})
	return took, sums, err
}

// Round ends the leader in some way while the others write, and then starts it
// again and waits until it has caught up.
func (c *Cluster) Round(ctx context.Context, end func(ctx context.Context, leader *Server, survivors []*Server) error) (sums server.PulseSum, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	leader, _, err := c.Leader(ctx)
	if err != nil {
		return sums, err
	}
	survivors := c.Others(leader)
	for _, s := range survivors {
		if err := s.Call(ctx, server.PulseStart, proc.None{}, nil); err != nil {
			return sums, err
		}
	}
	if _, err := FirstAcks(ctx, survivors, meter.Now()+rand.N(phase)); err != nil {
		return sums, err
	}
	if err := end(ctx, leader, survivors); err != nil {
		return sums, err
	}
	for _, s := range survivors {
		var sum server.PulseSum
		if err := s.Call(ctx, server.PulseStop, proc.None{}, &sum); err != nil {
			return sums, err
		}
		sums.Writes += sum.Writes
		if sums.Errors += sum.Errors; sums.Error == "" {
			sums.Error = sum.Error
		}
	}
	if err := c.Start(ctx, leader); err != nil {
		return sums, err
	}
	view, err := survivors[0].Look(ctx)
	if err != nil {
		return sums, err
	}
	return sums, leader.Call(ctx, server.CatchUp, server.Index{Index: view.Index}, nil)
}

// Acks say when the first write that began after a moment was acknowledged.
type Acks struct {
	Earliest time.Duration // at any survivor
	Latest   time.Duration // at the last of them
}

// FirstAcks waits until each survivor has one.
func FirstAcks(ctx context.Context, survivors []*Server, after time.Duration) (Acks, error) {
	times, errs := make([]time.Duration, len(survivors)), make([]error, len(survivors))
	var all sync.WaitGroup
	for i, s := range survivors {
		all.Go(func() {
			var at server.Instant
			errs[i] = s.Call(ctx, server.PulseFirst, server.Instant{At: after}, &at)
			times[i] = at.At
		})
	}
	all.Wait()
	a := Acks{Earliest: times[0], Latest: times[0]}
	for _, t := range times {
		a.Earliest, a.Latest = min(a.Earliest, t), max(a.Latest, t)
	}
	return a, errors.Join(errs...)
}
