package fsm

import "sync"

// shardLock is a lock that is held for about a microsecond. To sleep until it is free
// takes fifty times that, so who has to wait looks again a few times first.
type shardLock struct{ sync.RWMutex }

const spins = 50 // about 5 microseconds

// Lock is for the writer.
func (l *shardLock) Lock() {
	for range spins {
		if l.TryLock() {
			return
		}
		pause()
	}
	l.RWMutex.Lock()
}

// RLock is for readers and captures.
func (l *shardLock) RLock() {
	for range spins {
		if l.TryRLock() {
			return
		}
		pause()
	}
	l.RWMutex.RLock()
}

// pause leaves the lock's word to others for about a tenth of a microsecond: who looks
// all the time keeps it from the one who holds the lock.
//
//go:noinline
func pause() {
	for range 250 {
	}
}
