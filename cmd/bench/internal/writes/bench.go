package writes

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// bench collects samples.
type bench struct {
	options Options
	space   *fleet.Workspace
	log     io.Writer // progress, for people

	rows      []*Row // in the order of the table
	redisInfo *server.RedisInfo
	lag       []float64 // ms
	kills     []float64 // ms
	handovers handovers
}

// handovers are the planned ones.
type handovers struct {
	gaps   []float64 // ms
	errors int
	first  string // error
}

// run measures everything. On failure what was measured before is still there.
func (b *bench) run(ctx context.Context) error {
	for run := range b.options.Runs {
		for _, s := range turn(b.options.systems(), run) {
			b.progress("run %d of %d: %s %s", run+1, b.options.Runs, s.Name, s.Store)
			if err := b.block(ctx, run, s); err != nil {
				return interrupted(ctx, fmt.Errorf("run %d of %s %s: %w", run+1, s.Name, s.Store, err))
			}
		}
	}
	if b.options.LagSamples+b.options.Kills+b.options.Handovers == 0 {
		return nil
	}
	return interrupted(ctx, b.leaders(ctx))
}

// leaders is what is measured with one caller or few, on a cluster that lives on.
func (b *bench) leaders(ctx context.Context) (err error) {
	c, err := b.space.StartNodes(ctx, b.options.Stores[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := fill(ctx, c.Servers[0].Process); err != nil {
		return err
	}
	for _, part := range []func(context.Context, *fleet.Cluster) error{b.followerLag, b.failovers, b.handOvers} {
		if err := part(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// note keeps a sample.
func (b *bench) note(run int, k Case, s Sample) {
	b.progress("  %s: %s operations/s, p50 %s, p99 %s", k, report.Thousands(s.OpsPerS), latency(s.P50us), latency(s.P99us))
	for _, r := range b.rows {
		if r.Case == k {
			r.samples[run] = s
			return
		}
	}
	b.rows = append(b.rows, &Row{Case: k, samples: map[int]Sample{run: s}})
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...) // nobody to tell
}

var errInterrupted = errors.New("interrupted")

// interrupted tells the end of the command's context from other failures.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
