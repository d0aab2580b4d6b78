package writes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// failovers kills leaders: how long until the next acknowledged write.
func (b *bench) failovers(ctx context.Context, c *fleet.Cluster) error {
	for i := range b.options.Kills {
		took, sums, err := c.Kill(ctx)
		if err != nil {
			return fmt.Errorf("kill %d: %w", i+1, err)
		}
		b.kills = append(b.kills, report.Milliseconds(took))
		b.progress("kill %d of %d: %.0f ms to the next acknowledged write; %d of %d writes failed%s",
			i+1, b.options.Kills, report.Milliseconds(took), sums.Errors, sums.Writes, report.Quoted(sums.Error))
	}
	return nil
}

// handOvers closes leaders: for how long do writes stand still at any survivor,
// and does any of them fail.
func (b *bench) handOvers(ctx context.Context, c *fleet.Cluster) error {
	for i := range b.options.Handovers {
		var longest time.Duration
		sums, err := c.Round(ctx, func(ctx context.Context, leader *fleet.Server, survivors []*fleet.Server) error {
			began := meter.Now()
			if err := errors.Join(leader.Call(ctx, server.Close, proc.None{}, nil), leader.End(ctx)); err != nil {
				return err
			}
			if _, err := fleet.FirstAcks(ctx, survivors, meter.Now()); err != nil {
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
		b.handovers.gaps = append(b.handovers.gaps, report.Milliseconds(longest))
		if b.handovers.errors += sums.Errors; b.handovers.first == "" {
			b.handovers.first = sums.Error
		}
		b.progress("hand-over %d of %d: writes stood still for %.0f ms; %d of %d writes failed%s",
			i+1, b.options.Handovers, report.Milliseconds(longest), sums.Errors, sums.Writes, report.Quoted(sums.Error))
	}
	return nil
}
