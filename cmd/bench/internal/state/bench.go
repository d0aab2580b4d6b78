package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// bench collects samples.
type bench struct {
	options Options
	dir     string
	log     io.Writer // progress, for people
	sets    *sets     // nil: without Redis

	samples map[string][]float64 // by measure, of all runs
	parts   []Part
}

// part is a row of things that are measured together.
type part struct {
	name    string
	measure func(*bench, context.Context) error
}

func allParts() []part {
	return []part{
		{"heap", (*bench).heap},
		{"apply", (*bench).apply},
		{"members", (*bench).members},
		{"questions", (*bench).questions},
		{"readers", (*bench).readers},
		{"snapshot", (*bench).snapshot},
		{"restore", (*bench).restore},
		{"destroy", (*bench).destroy},
		{"gc", (*bench).gc},
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
	var errs []error
	for _, p := range allParts() {
		if !b.options.wants(p.name) {
			continue
		}
		b.progress("%s", p.name)
		if err := b.watched(ctx, p); err != nil {
			errs = append(errs, fmt.Errorf("measure %s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// Part is one that was measured, and what else went on.
type Part struct {
	Name        string  `json:"name"`
	Seconds     float64 `json:"seconds"`
	StrangerCPU float64 `json:"stranger_cpu_percent"` // of one core: all other processes, Redis among them
	LoadNs      float64 `json:"memory_load_ns"`       // one that misses the caches, before the part: most of what is measured is made of those
}

const probed = 64 << 20 // bytes that the loads are from: more than the caches of most machines

// watched measures a part, and what other processes spend meanwhile.
func (b *bench) watched(ctx context.Context, p part) error {
	loadNs := meter.LoadTime(int(probed * b.options.Scale))
	began := time.Now()
	others, err := strangers()
	if err != nil {
		return err
	}
	failure := p.measure(b, ctx)
	now, err := strangers()
	took := time.Since(began)
	b.parts = append(b.parts, Part{Name: p.name, Seconds: took.Seconds(), StrangerCPU: 100 * max((now-others).Seconds(), 0) / took.Seconds(), LoadNs: loadNs})
	return errors.Join(failure, err)
}

// strangers is the CPU time of all processes but this one.
func strangers() (time.Duration, error) {
	busy, err := meter.Busy()
	if err != nil {
		return 0, err
	}
	own, err := meter.CPU()
	return busy - own, err
}

// add keeps a sample of a measure.
func (b *bench) add(measure string, v float64) {
	b.progress("  %s %s", measure, report.Short(v))
	b.samples[measure] = append(b.samples[measure], v)
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...) // nobody to tell
}
