package fsm

import "sync"

// shardLock is between the writer and those who read beside it, and is held for some
// microseconds, or about 50 for a piece of a capture. Who sleeps until it is free may be
// woken after milliseconds, where the kernel does not take a processor from a thread for
// one that wakes before the next tick: so who has to wait looks again many times first.
type shardLock struct{ mu sync.Mutex }

const spins = 1000 // about 100 microseconds

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
