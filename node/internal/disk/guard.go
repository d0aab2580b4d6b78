package disk

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	// stallLimit is how long a disk call may take before others must not count on this
	// node any more: a leader whose fsync hangs would lead on and commit nothing
	// (raft#503). With the election that follows it leaves room below 10 s.
	stallLimit = 3 * time.Second
	// snapshotStallLimit is as much for a piece of a snapshot: its one fsync is for all of
	// its bytes, and Raft's main loop does not wait for it.
	snapshotStallLimit = 30 * time.Second
	// stallMemory is how long a disk that stalled and went on is not trusted with leading.
	stallMemory = 30 * time.Second
)

// Guard stands between Raft and its stores. Raft panics, and takes the host along,
// when it cannot save its term or read an entry, and it goes on with a disk that
// gave an error, though nobody knows any more what is on it (raft#614).
//
// So Raft never hears of an error. At the first one, and while a call takes longer
// than stallLimit, this node serves no Raft traffic: nobody counts on it, and a
// leader loses its leadership. Only then the failed call is parked, for ever. After
// that the file is not to be trusted, and later calls do not reach it; a new process
// reads the file again. Release lets all parked goroutines end, without ever
// returning to Raft; Raft is to be shut down by then. (Calls after whose failure Raft
// goes on in good order fail instead: it gets no further than to the next one that
// parks, and nobody hears it.)
//
// A call that stalled and then succeeds goes on, and the node with it: nothing was
// lost, and to Raft the node was only slow. Raft is correct for any such delay; a
// leader that was replaced meanwhile learns it from the first answer. Doubt reports
// for some time that this disk should not lead.
//
// Snapshots are guarded less: Raft hears of their errors and lives with them. They
// are in Doubt as long as the newest one failed.
//
// Before Arm all errors pass: a start that fails is refused with them.
type Guard struct {
	mu       sync.Mutex           // guards all below
	serve    func(bool)           // nil: not armed
	failure  error                // the first one; final
	stalls   map[*access]struct{} // under way for longer than they may
	stalled  error                // the last stall that ended, in words
	ended    time.Time            // when
	snapshot error                // of the newest snapshot, if it failed

	changed    chan struct{} // closed and replaced when any of that changes
	released   chan struct{} // closed by Release
	isReleased bool
}

func newGuard() *Guard {
	return &Guard{stalls: make(map[*access]struct{}), changed: make(chan struct{}), released: make(chan struct{})}
}

// access is one call to a store.
type access struct {
	verb, file string
	begun      time.Time
	soft       bool // of a snapshot
	over       bool // guarded by Guard.mu
}

func (a *access) String() string { return a.verb + " " + a.file }

func (a *access) hangs() error {
	return fmt.Errorf("the disk stalls: %s has not returned since %s", a, clock(a.begun))
}

// Arm begins to guard. serve is told whether Raft's traffic may be served, each time
// that changes, with a lock held: it must not block, nor call the Guard.
func (g *Guard) Arm(serve func(bool)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serve = serve
}

// Release ends the goroutines of Raft that are parked, and those that come to be.
func (g *Guard) Release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isReleased {
		g.isReleased = true
		close(g.released)
	}
}

// Err says in words what failed, or stalls now; nil: neither. Raft does nothing then.
func (g *Guard) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.errLocked()
}

func (g *Guard) errLocked() error {
	if g.failure != nil {
		return g.failure
	}
	for a := range g.stalls {
		if !a.soft {
			return a.hangs()
		}
	}
	return nil
}

// Failed is the part of Err that only a new process mends.
func (g *Guard) Failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failure
}

// Doubt says in words why a disk that works should not lead; nil: no reason.
func (g *Guard) Doubt() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.snapshot != nil:
		return g.snapshot
	case g.stalled != nil && time.Since(g.ended) < stallMemory:
		return g.stalled
	}
	for a := range g.stalls {
		if a.soft {
			return a.hangs()
		}
	}
	return nil
}

// Changed is closed when Err or Doubt have changed. Doubt also passes with time.
func (g *Guard) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// do runs a call that Raft must not see fail. Verb and file say in words what it does.
func (g *Guard) do(verb, file string, call func() error) error {
	if g.Failed() != nil {
		g.park()
	}
	a := &access{verb: verb, file: file, begun: time.Now()}
	err := g.watched(a, stallLimit, call)
	if g.failed(a, err) {
		g.park()
	}
	return err
}

// try is do for a call whose failure Raft survives, and which not only Raft's main loop
// makes: who waits for a snapshot must not wait for a goroutine that is parked.
func (g *Guard) try(verb, file string, call func() error) error {
	if err := g.Failed(); err != nil {
		return err
	}
	a := &access{verb: verb, file: file, begun: time.Now()}
	err := g.watched(a, stallLimit, call)
	if g.failed(a, err) && err == nil {
		err = g.Failed()
	}
	return err
}

// doSoft runs a call for a snapshot, whose failure Raft may see.
func (g *Guard) doSoft(verb, file string, call func() error) error {
	if err := g.Failed(); err != nil {
		return err
	}
	a := &access{verb: verb, file: file, begun: time.Now(), soft: true}
	err := g.watched(a, snapshotStallLimit, call)
	if err != nil {
		g.snapshotted(fmt.Errorf("no snapshot could be written: %s: %w (at %s)", a, err, clock(time.Now())))
	}
	return err
}

// snapshotted notes what became of the newest snapshot.
func (g *Guard) snapshotted(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.snapshot != nil || err != nil {
		g.snapshot = err
		g.announceLocked()
	}
}

// park never returns. What Raft's goroutine has deferred runs when it is released:
// answers that say no, over streams that were cut.
func (g *Guard) park() {
	<-g.released
	runtime.Goexit()
}

// watched runs a call and tells the others while it takes too long.
func (g *Guard) watched(a *access, limit time.Duration, call func() error) error {
	slow := time.AfterFunc(limit, func() { g.stall(a) })
	err := guarded(call)
	if !slow.Stop() {
		g.goOn(a, err)
	}
	return err
}

func (g *Guard) stall(a *access) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.over || g.serve == nil {
		return
	}
	g.stalls[a] = struct{}{}
	g.serveLocked()
	g.announceLocked()
}

// goOn ends a stall. With an error it is not forgotten until fail has taken it.
func (g *Guard) goOn(a *access, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a.over = true
	if _, ok := g.stalls[a]; !ok {
		return
	}
	if err != nil && !a.soft {
		g.failLocked(a, err)
	}
	delete(g.stalls, a)
	g.ended = time.Now()
	g.stalled = fmt.Errorf("the disk stalled: %s took %v (until %s)", a, g.ended.Sub(a.begun).Round(time.Millisecond), clock(g.ended))
	g.serveLocked()
	g.announceLocked()
}

// failed notes an error of a, if it has one. It reports whether Raft must not go on:
// after that error, or one that another call had meanwhile.
func (g *Guard) failed(a *access, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.failLocked(a, err)
	}
	return g.failure != nil
}

func (g *Guard) failLocked(a *access, err error) {
	if g.serve == nil || g.failure != nil {
		return
	}
	g.failure = fmt.Errorf("the disk has failed: %s: %w (since %s); this server takes no part in Raft until it is started again", a, err, clock(time.Now()))
	g.serveLocked()
	g.announceLocked()
}

func (g *Guard) serveLocked() {
	if g.serve != nil {
		g.serve(g.errLocked() == nil)
	}
}

func (g *Guard) announceLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func clock(t time.Time) string { return t.Format(time.RFC3339) }
