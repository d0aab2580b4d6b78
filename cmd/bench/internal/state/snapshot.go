package state

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/fsm"
)

const countFor = 50 * time.Microsecond

// snapshot measures snapshots that are taken while writes go on at a steady rate,
// after a time of the same writes without one, and one of them beside a goroutine that
// only counts: its stops are what the machine adds to two that compute.
func (b *bench) snapshot(ctx context.Context) error {
	w, err := b.build(ctx, small10, 0, 0)
	if err != nil {
		return err
	}
	store, err := raft.NewFileSnapshotStore(filepath.Join(b.dir, "snapshot"), 1, io.Discard)
	if err != nil {
		return err
	}
	for range b.options.Runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.quiet(w); err != nil {
			return err
		}
		if err := b.besideCounting(w); err != nil {
			return err
		}
		if err := b.busySnapshot(w, store); err != nil {
			return err
		}
		if err := b.snapshotMemory(w, store); err != nil {
			return err
		}
	}
	return nil
}

// quiet measures the stops of a paced load that nothing disturbs.
func (b *bench) quiet(w *world) error {
	before := heapNow()
	peak := watchPeak(objects)
	p := w.pace(b.options.Rate)
	p.wait(b.options.Duration)
	s, err := p.stop()
	highest := peak.stop()
	if err != nil {
		return err
	}
	b.add("snapshot_quiet_garbage_share_10m", max(highest-before.alloc, 0)/w.grown.alloc)
	b.add("snapshot_quiet_late_ms_10m", report.Milliseconds(s.late))
	b.add("snapshot_quiet_call_ms_10m", report.Milliseconds(s.call))
	return nil
}

// besideCounting measures the stops beside a goroutine that has nothing to do with the
// state.
func (b *bench) besideCounting(w *world) error {
	end := startCounting()
	p := w.pace(b.options.Rate)
	p.wait(b.options.Duration)
	s, err := p.stop()
	end()
	if err != nil {
		return err
	}
	b.add("snapshot_counting_late_ms_10m", report.Milliseconds(s.late))
	b.add("snapshot_counting_call_ms_10m", report.Milliseconds(s.call))
	return nil
}

// startCounting starts a goroutine that lets others run as often as one that writes a
// snapshot: every countFor.
func startCounting() (end func()) {
	var ended atomic.Bool
	var counting sync.WaitGroup
	counting.Go(func() {
		for !ended.Load() {
			for began := time.Now(); time.Since(began) < countFor; {
			}
			runtime.Gosched()
		}
	})
	return func() {
		ended.Store(true)
		counting.Wait()
	}
}

func (b *bench) busySnapshot(w *world, store raft.SnapshotStore) error {
	before := heapNow()
	peak := watchPeak(objects)
	p := w.pace(b.options.Rate)
	began := time.Now()
	size, err := snapshotTo(store, w, p.ask)
	took := time.Since(began)
	s, paced := p.stop()
	highest := peak.stop()
	if err := errors.Join(err, paced); err != nil {
		return err
	}
	b.add("snapshot_stop_ms_10m", report.Milliseconds(s.late))
	b.add("snapshot_call_ms_10m", report.Milliseconds(s.call))
	b.add("snapshot_s_10m", took.Seconds())
	b.add("snapshot_writes_per_s_10m", s.perSecond())
	b.add("snapshot_bytes_per_membership_10m", float64(size)/float64(len(w.all)))
	b.add("snapshot_extra_memory_garbage_share_10m", max(highest-before.alloc, 0)/w.grown.alloc)
	return nil
}

// snapshotMemory measures what a snapshot needs at most. Collections go on all the time,
// which finds that out and would disturb everything else.
func (b *bench) snapshotMemory(w *world, store raft.SnapshotStore) error {
	before := heapNow()
	peak := watchPeak(live)
	p := w.pace(b.options.Rate)
	_, err := snapshotTo(store, w, p.ask)
	_, paced := p.stop()
	highest := peak.stop()
	if err := errors.Join(err, paced); err != nil {
		return err
	}
	b.add("snapshot_extra_memory_share_10m", max(highest-before.alloc, 0)/w.grown.alloc)
	return nil
}

// snapshotTo takes a snapshot as Raft does: begun by the goroutine that applies,
// which ask runs it on, and written by another one. It returns the size of the file.
func snapshotTo(store raft.SnapshotStore, w *world, ask func(func())) (size int64, err error) {
	var taken raft.FSMSnapshot
	ask(func() { taken, err = w.replica.Snapshot() })
	if err != nil {
		return 0, err
	}
	if taken == nil { // the one that was asked has failed
		return 0, nil
	}
	defer taken.Release()
	sink, err := store.Create(raft.SnapshotVersionMax, w.index, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		return 0, err
	}
	if err := taken.Persist(sink); err != nil {
		return 0, err
	}
	meta, file, err := store.Open(sink.ID())
	if err != nil {
		return 0, err
	}
	return meta.Size, file.Close()
}

// restore measures how fast a replica reads a snapshot that nobody writes to.
func (b *bench) restore(ctx context.Context) error {
	for _, at := range bothSizes {
		store, err := raft.NewFileSnapshotStore(filepath.Join(b.dir, "restore-"+at.size), 1, io.Discard)
		if err != nil {
			return err
		}
		want, err := b.persisted(ctx, store, at.shape)
		if err != nil {
			return err
		}
		for range b.options.Runs {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := restored(store, want)
			if err != nil {
				return err
			}
			b.add("restore_s_"+at.size, took.Seconds())
		}
	}
	return nil
}

// persisted writes the snapshot of a shape and tells its memberships.
func (b *bench) persisted(ctx context.Context, store raft.SnapshotStore, s Shape) (int, error) {
	w, err := b.build(ctx, s, 0, 0)
	if err != nil {
		return 0, err
	}
	_, err = snapshotTo(store, w, func(f func()) { f() })
	return len(w.all), err
}

func restored(store raft.SnapshotStore, want int) (time.Duration, error) {
	all, err := store.List()
	if err != nil {
		return 0, err
	}
	_, file, err := store.Open(all[0].ID)
	if err != nil {
		return 0, err
	}
	heapNow() // what the run before left is no part of this one
	r := fsm.NewReplica()
	began := time.Now()
	err = r.Restore(file)
	took := time.Since(began)
	return took, errors.Join(err, file.Close(), count(r, want))
}
