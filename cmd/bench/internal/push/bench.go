package push

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
)

// bench collects samples.
type bench struct {
	options Options
	space   *fleet.Workspace
	log     io.Writer // progress, for people

	redisVersion string
	rows         []*Row // in the order of the table
	stalls       []Stall
}

// part is what is measured together, in each run.
type part struct {
	name    string
	measure func(b *bench, ctx context.Context, w *world, run int) error
}

// allParts are in their order. Changes leave members behind, so they come last.
func allParts() []part {
	return []part{
		{"latency", casesOf(latencyCases)},
		{"rate", casesOf(rateCases)},
		{"stalled", (*bench).stalled},
		{"large", casesOf(largeCases)},
		{"wire", casesOf(wireCases)},
		{"churn", casesOf(churnCases)},
	}
}

func partNames() (names []string) {
	for _, p := range allParts() {
		names = append(names, p.name)
	}
	return names
}

// run measures everything. A part that fails keeps what it measured before, and does
// not keep the others from being measured.
func (b *bench) run(ctx context.Context) error {
	w, err := b.start(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range allParts() {
		if !b.options.wants(p.name) {
			continue
		}
		for run := range b.options.Runs {
			b.progress("%s, run %d of %d", p.name, run+1, b.options.Runs)
			if err := p.measure(b, ctx, w, run); err != nil {
				errs = append(errs, fmt.Errorf("measure %s: %w", p.name, err))
				break
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...) // nobody to tell
}
