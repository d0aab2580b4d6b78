package fleetsize

import (
	"context"
	"errors"
	"fmt"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const failoverStore = "boltdb"

// failovers kills leaders of a fleet of its own. Its voters come back with what
// they had on disk: without it each kill would leave one dead voter more behind.
func (b *bench) failovers(ctx context.Context) (err error) {
	b.progress("start %d voters as processes, and %d replicas in one", b.options.Voters, b.options.FailoverReplicas)
	c, err := b.space.StartVoters(ctx, failoverStore, b.options.Voters)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if b.options.FailoverReplicas > 0 {
		p, err := b.space.Process("replicas")
		if err != nil {
			return err
		}
		defer p.Kill()
		start, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		if err := p.Call(start, server.OpenCrew, server.Crew{Nodes: replicas(b.options.FailoverReplicas, c.Addrs)}, nil); err != nil {
			return err
		}
	}
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
