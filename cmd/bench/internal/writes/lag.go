package writes

import (
	"context"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

const lagChannel = "lag"

// followerLag measures the lag of one follower, on an idle cluster.
func (b *bench) followerLag(ctx context.Context, c *fleet.Cluster) error {
	if b.options.LagSamples == 0 {
		return nil
	}
	leader, _, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	b.progress("follower lag: %d writes", b.options.LagSamples)
	lags, err := fleet.Lags(ctx, leader.Process, c.Others(leader)[0].Process, lagChannel, b.options.LagSamples)
	for _, lag := range lags {
		b.lag = append(b.lag, report.Milliseconds(lag))
	}
	return err
}
