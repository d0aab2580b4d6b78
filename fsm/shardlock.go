package fsm

import "sync"

// shardLock is between the writer and those who read beside it, and is held for some
// microseconds. To sleep until it is free takes longer, so who has to wait looks again a
// few times first.
type shardLock struct{ mu sync.Mutex }

const spins = 50 // about 5 microseconds

func (l *shardLock) Lock() {
	if !l.mu.TryLock() {
		l.wait()
	}
}

func (l *shardLock) wait() {
	for range spins {
		pause()
		if l.mu.TryLock() {
			return
		}
	}
	l.mu.Lock()
}

func (l *shardLock) Unlock() { l.mu.Unlock() }

// pause leaves the lock's word to others for about a tenth of a microsecond: who looks
// all the time keeps it from the one who holds the lock.
//
//go:noinline
func pause() {
	for range 250 {
	}
}
