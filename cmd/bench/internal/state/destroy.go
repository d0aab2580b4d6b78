package state

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

const (
	destroyChannels = 1000   // of the traffic around it
	destroyEntries  = 50_000 // that follow, so that what is reclaimed with them is in them
	destroyOps      = 20     // in each of them
)

// destroy measures how long applying stops when a huge channel is destroyed: at that
// entry, or at one of those that follow it and do its rest.
func (b *bench) destroy(ctx context.Context) error {
	for run := range b.options.Runs {
		if err := b.destroyOne(ctx, run); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) destroyOne(ctx context.Context, run int) error {
	w, err := b.build(ctx, huge, run, destroyChannels)
	if err != nil {
		return err
	}
	around := &around{world: w}
	entries := max(int(destroyEntries*b.options.Scale), 100)
	quiet, err := around.apply(ctx, entries)
	if err != nil {
		return err
	}
	full := heapNow()
	entry := w.destroy(nil, 0)
	began := time.Now()
	result := w.apply(entry)
	call := time.Since(began)
	if _, err := effect(result); err != nil {
		return err
	}
	after, err := around.apply(ctx, entries)
	if err != nil {
		return err
	}
	b.add("destroy_quiet_stop_ms_5m", report.Milliseconds(quiet))
	b.add("destroy_call_ms_5m", report.Milliseconds(call))
	b.add("destroy_stop_ms_5m", report.Milliseconds(max(call, after)))
	b.add("destroy_freed_share_5m", full.minus(heapNow()).alloc/w.grown.alloc)
	return count(w.replica, len(around.last))
}

// around is traffic in other channels: each entry removes the members that the one
// before has added, and adds others.
type around struct {
	*world
	last  []membership
	entry []byte
}

// apply applies so many entries and returns the longest call.
func (a *around) apply(ctx context.Context, entries int) (longest time.Duration, err error) {
	for range entries {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		a.next()
		began := time.Now()
		result := a.world.apply(a.entry)
		longest = max(longest, time.Since(began))
		if _, err := effect(result); err != nil {
			return 0, err
		}
	}
	return longest, nil
}

func (a *around) next() {
	a.changes = a.changes[:0]
	for _, m := range a.last {
		a.changes = append(a.changes, change{membership: m, leave: true})
	}
	a.last = a.last[:0]
	for i := range destroyOps / 2 {
		m := a.shape.any(a.random)
		m.channel = uint32(1 + (a.random.IntN(destroyChannels/destroyOps)*destroyOps + i)) // no two of an entry in one channel
		a.last = append(a.last, m)
		a.changes = append(a.changes, change{membership: m})
	}
	a.entry = a.encode(a.entry[:0], a.changes)
}
