package history

import (
	"slices"
	"sync"
	"time"
)

// Recorder collects the events of one run. Its methods may be called concurrently.
type Recorder struct {
	start time.Time

	mu     sync.Mutex // guards all below; held while the clock is read, so events are in the order of At
	events []Event
	ops    int
	more   chan struct{} // closed at the next event; nil: nobody waits
}

// NewRecorder starts the run's clock.
func NewRecorder() *Recorder { return &Recorder{start: time.Now()} }

// Completion ends one operation.
type Completion struct {
	recorder *Recorder
	invoked  Event
}

// Invoke records that the operation e is about to be sent; Type, At and Op are
// filled in.
func (r *Recorder) Invoke(e Event) Completion {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
	e.Type, e.Op = Invoke, r.ops
	return Completion{r, r.addLocked(e)}
}

// Done records what became of the operation. change adds what the answer said.
func (c Completion) Done(t Type, change func(*Event)) {
	e := c.invoked
	e.Type = t
	if change != nil {
		change(&e)
	}
	c.recorder.mu.Lock()
	defer c.recorder.mu.Unlock()
	c.recorder.addLocked(e)
}

// Note records a fact or a fault; Type and At are filled in.
func (r *Recorder) Note(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Type = Note
	r.addLocked(e)
}

// Events are those so far, in the order of their times.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// addLocked gives no two events one time. In a bubble the clock stands while something
// is done, and what returned before something else began would count as being beside it.
func (r *Recorder) addLocked(e Event) Event {
	e.At = time.Since(r.start)
	if n := len(r.events); n > 0 {
		e.At = max(e.At, r.events[n-1].At+1)
	}
	r.events = append(r.events, e)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return e
}
