package disk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Part is what a fault of a simulated disk concerns.
type Part uint8

const (
	Log       Part = iota // entries that are written or deleted
	Stable                // term and vote
	Snapshots             // snapshots that are written
	Reads                 // entries that are read
	parts
)

// faults are what is wrong with a simulated disk. Who had it open before a PowerOff
// goes on with those of then.
type faults struct {
	mu      sync.Mutex // guards all below
	stalled [parts]chan struct{}
	failing [parts]error
	free    uint64 // bytes
	full    bool   // free is set
	delay   time.Duration
	begun   []*write
	over    chan struct{} // closed by end
}

// write is a call that was not answered yet.
type write struct {
	// survive lets come to another disk what chance leaves of it.
	survive func(*memoryLog, *memorySnapshots, *rand.Rand)
}

func newFaults() *faults { return &faults{over: make(chan struct{})} }

// clone is the disk after a PowerOff: nothing hangs any more, what is broken stays so.
func (f *faults) clone() *faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	after := newFaults()
	after.failing, after.free, after.full, after.delay = f.failing, f.free, f.full, f.delay
	return after
}

// meet is called before a part is touched. It waits while that stalls.
func (f *faults) meet(p Part) error {
	for {
		f.mu.Lock()
		stalled, failing, full := f.stalled[p], f.failing[p], f.full && f.free == 0 && p != Reads
		f.mu.Unlock()
		switch {
		case stalled != nil:
			<-stalled
			continue
		case failing != nil:
			return failing
		case full:
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		return nil
	}
}

// sync is meet for what is on the disk once it is answered. It takes as long as the disk does.
func (f *faults) sync(p Part, survive func(*memoryLog, *memorySnapshots, *rand.Rand)) error {
	w := &write{survive}
	f.mu.Lock()
	f.begun = append(f.begun, w)
	delay := f.delay
	f.mu.Unlock()
	err := f.meet(p)
	if err == nil && delay > 0 {
		done := time.NewTimer(delay)
		select {
		case <-done.C:
		case <-f.over:
			done.Stop()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = slices.DeleteFunc(f.begun, func(other *write) bool { return other == w })
	return err
}

// unanswered are the calls that sync waits in, in order.
func (f *faults) unanswered() []*write {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.begun)
}

// end is of a disk that nobody will read again: nothing on it takes time any more.
func (f *faults) end() {
	f.resume(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = 0
	close(f.over)
}

func (f *faults) slow(sync time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = sync
}

// stall is false, and changes nothing, if one of them stalls already.
func (f *faults) stall(which []Part) (resume func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range which {
		if f.stalled[p] != nil {
			return nil, false
		}
	}
	own := make(chan struct{})
	for _, p := range which {
		f.stalled[p] = own
	}
	return func() { f.resume(own) }, true
}

// resume ends that stall, or with nil any.
func (f *faults) resume(own chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ended := make(map[chan struct{}]bool)
	for p, stalled := range f.stalled {
		if stalled != nil && (own == nil || stalled == own) {
			f.stalled[p] = nil
			ended[stalled] = true
		}
	}
	for stalled := range ended {
		close(stalled)
	}
}

func (f *faults) fail(which []Part, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range which {
		f.failing[p] = err
	}
}

func (f *faults) fill(free uint64, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free, f.full = free, full
}

func (f *faults) space() Space {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return Space{Free: f.free, Total: simulatedSize}
	}
	return Space{Free: math.MaxInt64, Total: simulatedSize}
}

// simulatedSize is of a simulated disk, on which 64 MiB are less than 1 %.
const simulatedSize = 10 << 30
