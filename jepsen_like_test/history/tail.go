package history

import (
	"context"
	"fmt"
)

// Tail is the events from a moment on. It is for one goroutine.
type Tail struct {
	recorder *Recorder
	next     int // how many events were looked at, or are from before
}

// Tail begins now.
func (r *Recorder) Tail() *Tail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Tail{r, len(r.events)}
}

// Await waits for the event that is wanted; the next Await goes on behind it.
func (t *Tail) Await(ctx context.Context, what string, wanted func(Event) bool) error {
	for {
		events, more := t.rest()
		for _, e := range events {
			t.next++
			if wanted(e) {
				return nil
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s in the history: %w", what, context.Cause(ctx))
		}
	}
}

// rest is what was not looked at yet, and what to wait on behind it.
func (t *Tail) rest() (events []Event, more <-chan struct{}) {
	r := t.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return r.events[t.next:], r.more // what is recorded never changes
}
