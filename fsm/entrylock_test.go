package fsm

import (
	"sync"
	"testing"
)

// More readers than may stay awake, and two who lock: nobody sees half of a change, and
// all come to an end.
func TestEntryLock_ReadsAreOfNoHalfEntry(t *testing.T) {
	const each = 2000
	var (
		l           entryLock
		first, last int
		all         sync.WaitGroup
	)
	for range 2 {
		all.Go(func() {
			for i := range each {
				l.Lock()
				first++
				for range i % 100 {
					pause()
				}
				last++
				l.Unlock()
			}
		})
	}
	for range 2 * mostAwake {
		all.Go(func() {
			for range each {
				l.RLock()
				if first != last {
					t.Errorf("a read between %d and %d", first, last)
				}
				l.RUnlock()
			}
		})
	}
	all.Wait()
	if first != 2*each || last != first || l.awake.Load() != 0 {
		t.Errorf("%d and %d changes, %d readers awake at the end; want %d, %d, 0", first, last, l.awake.Load(), 2*each, 2*each)
	}
}

// An entry that takes longer than anybody stays awake is waited for asleep.
func TestEntryLock_WaitsForALongEntry(t *testing.T) {
	var l entryLock
	l.Lock()
	entered := make(chan struct{})
	go func() {
		l.RLock()
		close(entered)
		l.RUnlock()
	}()
	for range 3 * readerSpins {
		pause()
	}
	select {
	case <-entered:
		t.Fatal("a read in the middle of an entry")
	default:
	}
	l.Unlock()
	<-entered
}
