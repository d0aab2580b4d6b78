package node

import (
	"context"
	"sync"
	"time"
)

const (
	refreshMin   = 5 * time.Millisecond // between two requests, however fresh reads want it
	refreshIdle  = 4                    // periods without such a read, and it stops
	measureLimit = 2 * time.Second      // of the question for Status
)

// refresher keeps the replica as fresh as reads with MaxStaleness ask for, while
// they come: about every half of the smallest staleness that any of them allows it
// asks for a read index, unless answers to batches told the age already. So the
// reads themselves neither wait nor ask.
type refresher struct {
	indexes *readIndexes
	age     *age
	applied func() uint64 // the replica's index

	mu        sync.Mutex    // guards all below
	limit     time.Duration // what reads ask for
	asked     time.Time     // by the latest of those that ask for that much
	running   bool
	measuring bool
	sooner    chan struct{} // one slot: limit has become smaller
}

func newRefresher(q *readIndexes, a *age, applied func() uint64) *refresher {
	return &refresher{indexes: q, age: a, applied: applied, sooner: make(chan struct{}, 1)}
}

// keep notes a read that allows a staleness of d.
func (f *refresher) keep(d time.Duration) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if d > f.limit && !f.idle(now) {
		return // a stricter one has come lately
	}
	sooner := d < f.limit
	f.limit, f.asked = d, now
	if !f.running {
		f.running = f.indexes.spawn(f.run)
	} else if sooner {
		select {
		case f.sooner <- struct{}{}:
		default:
		}
	}
}

// idle runs with mu held.
func (f *refresher) idle(now time.Time) bool { return now.Sub(f.asked)/refreshIdle > f.period() }

// period runs with mu held.
func (f *refresher) period() time.Duration { return max(f.limit/2, refreshMin) }

func (f *refresher) run() {
	for {
		period, ok := f.next()
		if !ok {
			return
		}
		pause := period
		if old, known := f.age.now(f.applied()); known && old < period {
			pause = max(period-old, refreshMin)
		} else {
			start := time.Now()
			f.ask(max(2*period, minStaleWait))
			pause -= time.Since(start)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-f.sooner:
		case <-f.indexes.ctx.Done():
		}
		t.Stop()
	}
}

// next is false, and run at its end, when no such read has come for a while.
func (f *refresher) next() (period time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.indexes.ctx.Err() != nil || f.idle(time.Now()) {
		f.running = false
		return 0, false
	}
	return f.period(), true
}

// ask has no answer to give: the age learns of it.
func (f *refresher) ask(limit time.Duration) {
	ctx, cancel := context.WithTimeout(f.indexes.ctx, limit)
	defer cancel()
	_, _ = f.indexes.get(ctx, time.Now())
}

// measure asks once in the background, unless it does so already.
func (f *refresher) measure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.measuring {
		return
	}
	f.measuring = f.indexes.spawn(func() {
		f.ask(measureLimit)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.measuring = false
	})
}
