package fsm

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// entryLock is a sync.RWMutex between entries and reads. Both take some microseconds, and
// who sleeps meanwhile is woken much later; an applier that sleeps goes on where the reader
// was, on another core than what it has fetched for its entry. So whoever has to wait stays
// awake for a while: the applier until the last read is done, which keeps new ones out, and
// a few readers for as long as an entry usually takes. Others sleep as they would.
type entryLock struct {
	mu       sync.RWMutex
	entering atomic.Bool  // an entry waits for reads, or is applied
	awake    atomic.Int32 // readers that wait so
	read     atomic.Bool  // since somebody asked
}

const (
	entrySpins  = 200  // about 20 microseconds
	readerSpins = 5000 // about half a millisecond
	mostAwake   = 4
	yieldSpins  = 64 // after so many other goroutines have their turn
)

func (l *entryLock) Lock() {
	l.entering.Store(true)
	for range entrySpins {
		if l.mu.TryLock() {
			return
		}
		pause()
	}
	l.mu.Lock()
}

func (l *entryLock) Unlock() {
	l.entering.Store(false)
	l.mu.Unlock()
}

func (l *entryLock) RLock() {
	if !l.read.Load() {
		l.read.Store(true)
	}
	if l.entering.Load() {
		l.stayAwake()
	}
	l.mu.RLock()
}

func (l *entryLock) RUnlock() { l.mu.RUnlock() }

// wasRead says whether anybody has read since it was asked last.
func (l *entryLock) wasRead() bool { return l.read.Load() && l.read.Swap(false) }

func (l *entryLock) stayAwake() {
	defer l.awake.Add(-1)
	if l.awake.Add(1) > mostAwake {
		return
	}
	for i := 0; i < readerSpins && l.entering.Load(); i++ {
		if i%yieldSpins == yieldSpins-1 {
			runtime.Gosched()
			continue
		}
		pause()
	}
}
