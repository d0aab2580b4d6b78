package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
	"github.com/pofresh/globalchannel/node"
)

// pushes is the workload of pushes: on each server a caller adds, removes and pushes, and
// all servers are frontends. It is for simulated clusters only: it has to know what
// the pusher's own process was told before its death, and what no handler was handed.
type pushes struct {
	cluster *Cluster
	setup   trial.Setup
}

var _ trial.Load = (*pushes)(nil)

var _ trial.Loader = (*Cluster)(nil)

// Load implements trial.Loader.
func (c *Cluster) Load(s trial.Setup) trial.Load {
	if s.Spec.Workload != trial.Push {
		return nil
	}
	return &pushes{c, s}
}

// Run implements trial.Load.
func (p *pushes) Run(ctx context.Context) {
	var group sync.WaitGroup
	all := p.cluster.everybody()
	for i, sid := range all {
		w := &pusher{
			server: p.cluster.servers[sid], number: i + 1, targets: all, rest: p.setup.Spec.Rest(1500 * time.Millisecond), history: p.setup.History,
			rnd: rand.New(rand.NewPCG(p.setup.Spec.Seed, uint64(i))),
		}
		group.Go(func() { w.run(ctx) })
	}
	group.Wait()
	pause(context.WithoutCancel(ctx), 4*time.Second) // what nobody waits for any more, and the slowest handler
}

// epilogue is the channel of ReadAll. The checker is not told of it.
const epilogue = "epilogue"

// ReadAll demands that pushes reach everybody again.
func (p *pushes) ReadAll(ctx context.Context, _ uint64) error {
	all := p.cluster.everybody()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, sid := range all {
		n := p.cluster.servers[sid].running()
		for _, target := range all {
			if err := n.Add(ctx, epilogue, "from-"+sid, target); err != nil {
				return fmt.Errorf("%s: %w", sid, err)
			}
		}
		if err := harness.Await(ctx, sid+" to reach all", func(ctx context.Context) error {
			result, err := n.PushMessage(ctx, SType, "route", nil, epilogue, node.PushOptions{})
			if err != nil || !result.OK() || len(result.Servers) != len(all) {
				return fmt.Errorf("%w %+v", err, result)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Check implements trial.Load.
func (p *pushes) Check(events []history.Event) (trial.Verdict, error) {
	r, err := checker.CheckPushes(events)
	v := trial.Verdict{Checked: r.Pushes + r.Handed, Writes: r.Pushes, Report: r.String(), Violations: r.Violations}
	return v, err
}
