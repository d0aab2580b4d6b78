package state

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/fsm"
)

// world is a replica with the memberships of a shape, and its steady traffic.
type world struct {
	*feed
	shape   Shape
	all     []membership
	random  *rand.Rand
	changes []change // used again
	grown   heap     // by the replica
}

// heap is memory in use after a collection.
type heap struct {
	alloc, inuse float64 // bytes: of objects; of the spans that they are in
}

func heapNow() heap {
	runtime.GC()
	runtime.GC() // what the first one finalized, or left in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return heap{float64(m.HeapAlloc), float64(m.HeapInuse)}
}

func (h heap) minus(before heap) heap { return heap{h.alloc - before.alloc, h.inuse - before.inuse} }

// build makes the world of a shape; extra is how many channels more have names.
func (b *bench) build(ctx context.Context, s Shape, run, extra int) (*world, error) {
	s = s.scaled(b.options.Scale)
	b.progress("  build %s: %s memberships", s.Name, report.Thousands(float64(s.memberships())))
	w := &world{shape: s, all: s.draw(uint64(run)), random: rand.New(rand.NewPCG(uint64(run), 2))}
	n := newNames(s, extra)
	before := heapNow()
	var err error
	if w.feed, err = newFeed(n, s.Sessions); err != nil {
		return nil, err
	}
	if err := w.fill(ctx); err != nil {
		return nil, fmt.Errorf("build %s: %w", s.Name, err)
	}
	w.changes = nil
	w.forget()
	w.grown = heapNow().minus(before)
	return w, nil
}

func (w *world) fill(ctx context.Context) error {
	var entry []byte
	for left := w.all; len(left) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(left), entryOps)
		w.changes = w.changes[:0]
		for _, m := range left[:n] {
			w.changes = append(w.changes, change{membership: m})
		}
		left = left[n:]
		entry = w.encode(entry[:0], w.changes)
		changed, err := effect(w.apply(entry))
		if err != nil {
			return err
		}
		if changed != n {
			return fmt.Errorf("%d of %d memberships were there before", n-changed, n)
		}
	}
	return count(w.replica, len(w.all))
}

// count checks how many memberships a replica has.
func count(r *fsm.Replica, want int) error {
	if got := memberships(r); got != want {
		return fmt.Errorf("the replica has %d memberships, not %d", got, want)
	}
	return nil
}

func memberships(r *fsm.Replica) (n int) {
	r.View(func(s *fsm.State) { n = s.Stats().Memberships })
	return n
}

// steady appends the entry of the next n operations: leaves of random members and
// adds of random players, alternating, so that the size stays.
func (w *world) steady(dst []byte, n int) []byte {
	w.changes = w.changes[:0]
	for range max(n/2, 1) {
		m := &w.all[w.random.IntN(len(w.all))]
		w.changes = append(w.changes, change{membership: *m, leave: true})
		*m = w.shape.any(w.random)
		w.changes = append(w.changes, change{membership: *m})
	}
	return w.encode(dst, w.changes)
}

// chunk is a row of entries that were written before any of them is applied.
type chunk struct {
	entries [][]byte // their memory is used again
	ops     int
}

// write fills a chunk with n entries of steady traffic.
func (c *chunk) write(w *world, n int) {
	for len(c.entries) < n {
		c.entries = append(c.entries, nil)
	}
	c.entries = c.entries[:n]
	for i := range c.entries {
		c.entries[i] = w.steady(c.entries[i][:0], entryOps)
	}
	c.ops = n * entryOps
}

// apply applies them all.
func (c *chunk) apply(w *world) (changed int, err error) {
	for _, e := range c.entries {
		did, err := effect(w.apply(e))
		if err != nil {
			return changed, err
		}
		changed += did
	}
	return changed, nil
}
