package writes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	roundTimeout = 2 * time.Minute
	// At which moment between two heartbeats a leader dies must not be always the same.
	phase = 200 * time.Millisecond
)

// failovers kills leaders: how long until the next acknowledged write.
func (b *bench) failovers(ctx context.Context, c *fleet.Cluster) error {
	for i := range b.options.Kills {
		var took time.Duration
		sums, err := b.round(ctx, c, func(ctx context.Context, leader *fleet.Server, survivors []*fleet.Server) error {
			killed := meter.Now()
			leader.Kill()
			// The dead cannot acknowledge what began only after it was gone.
			first, err := firstAcks(ctx, survivors, meter.Now())
			if err != nil {
				return err
			}
			took = first.earliest - killed
			return nil
		})
		if err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
		b.kills = append(b.kills, milliseconds(took))
		b.progress("kill %d of %d: %.0f ms to the next acknowledged write; %d of %d writes failed%s",
			i+1, b.options.Kills, milliseconds(took), sums.Errors, sums.Writes, quoted(sums.Error))
	}
	return nil
}

// handOvers closes leaders: for how long do writes stand still at any survivor,
// and does any of them fail.
func (b *bench) handOvers(ctx context.Context, c *fleet.Cluster) error {
	for i := range b.options.Handovers {
		var longest time.Duration
		sums, err := b.round(ctx, c, func(ctx context.Context, leader *fleet.Server, survivors []*fleet.Server) error {
			began := meter.Now()
			if err := errors.Join(leader.Call(ctx, server.Close, proc.None{}, nil), leader.End(ctx)); err != nil {
				return err
			}
			if _, err := firstAcks(ctx, survivors, meter.Now()); err != nil {
				return err
			}
			for _, s := range survivors {
				var g server.Gap
				if err := s.Call(ctx, server.PulseGap, server.Instant{At: began}, &g); err != nil {
					return err
				}
				longest = max(longest, g.Gap)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("hand-over %d: %w", i+1, err)
		}
		b.handovers.gaps = append(b.handovers.gaps, milliseconds(longest))
		if b.handovers.errors += sums.Errors; b.handovers.first == "" {
			b.handovers.first = sums.Error
		}
		b.progress("hand-over %d of %d: writes stood still for %.0f ms; %d of %d writes failed%s",
			i+1, b.options.Handovers, milliseconds(longest), sums.Errors, sums.Writes, quoted(sums.Error))
	}
	return nil
}

// round ends the leader in some way while the others write, and then starts it
// again and waits until it has caught up.
func (b *bench) round(ctx context.Context, c *fleet.Cluster, end func(context.Context, *fleet.Server, []*fleet.Server) error) (sums server.PulseSum, err error) {
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
	if _, err := firstAcks(ctx, survivors, meter.Now()+rand.N(phase)); err != nil {
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
	view, err := look(ctx, survivors[0])
	if err != nil {
		return sums, err
	}
	return sums, leader.Call(ctx, server.CatchUp, server.Index{Index: view.Index}, nil)
}

// acks say when the first write that began after a moment was acknowledged.
type acks struct {
	earliest time.Duration // at any survivor
	latest   time.Duration // at the last of them
}

// firstAcks waits until each survivor has one.
func firstAcks(ctx context.Context, survivors []*fleet.Server, after time.Duration) (acks, error) {
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
	a := acks{earliest: times[0], latest: times[0]}
	for _, t := range times {
		a.earliest, a.latest = min(a.earliest, t), max(a.latest, t)
	}
	return a, errors.Join(errs...)
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", text)
}
