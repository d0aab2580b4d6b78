package faultfs

import (
	"sync"
	"syscall"
	"time"
)

// kind of a fault.
type kind uint8

const (
	full kind = iota
	failing
	hung
	slow
	kinds
)

// Seen counts the calls that met a fault, and what power cuts took: pages, sizes of files
// and changes of names.
type Seen struct{ Full, Failed, Hung, Slowed, Lost int }

// faults are the switches.
type faults struct {
	mu   sync.Mutex // guards all below
	on   map[*fault]struct{}
	seen [kinds]int
	lost int
}

type fault struct {
	kind
	sync   time.Duration // if slow
	mended chan struct{}
}

// spoil switches a fault on. To mend it twice is to mend it.
func (f *faults) spoil(x fault) (mend func()) {
	x.mended = make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on == nil {
		f.on = make(map[*fault]struct{})
	}
	f.on[&x] = struct{}{}
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.on, &x)
		close(x.mended)
	})
}

// met returns a fault of that kind that a call has met, or nil.
func (f *faults) met(k kind) *fault {
	x := f.find(k)
	if x != nil {
		f.count(k)
	}
	return x
}

func (f *faults) find(k kind) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.on {
		if x.kind == k {
			return x
		}
	}
	return nil
}

func (f *faults) count(k kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[k]++
}

func (f *faults) slowest() (d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.on {
		if x.kind == slow {
			d = max(d, x.sync)
		}
	}
	if d > 0 {
		f.seen[slow]++
	}
	return d
}

// admit is the way of each call that changes something.
func (f *faults) admit(c call) syscall.Errno {
	for x := f.met(hung); x != nil; x = f.find(hung) {
		if errno := c.wait(x.mended, nil); errno != 0 {
			return errno
		}
	}
	if f.met(failing) != nil {
		return syscall.EIO
	}
	return 0
}

// admitRoom is admit for a call that needs more of the disk, if it does.
func (f *faults) admitRoom(needs bool) syscall.Errno {
	if needs && f.met(full) != nil {
		return syscall.ENOSPC
	}
	return 0
}

// admitSync is admit for fsync.
func (f *faults) admitSync(c call) syscall.Errno {
	if errno := f.admit(c); errno != 0 {
		return errno
	}
	d := f.slowest()
	if d == 0 {
		return 0
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	return c.wait(nil, timer.C)
}

// look is how often a call that waits looks whether its process was killed.
const look = 10 * time.Millisecond

// call is one request of a process.
type call struct {
	thread uint32
	gone   <-chan struct{} // closed when the file system goes
}

// wait returns when the fault is mended or the time is over; the call failed if its
// process was killed, which the kernel lets wait for the answer all the same, or if the
// file system goes. Other signals are no reason: a disk does not know of them, and
// nobody expects EINTR from fsync.
func (c call) wait(mended <-chan struct{}, over <-chan time.Time) syscall.Errno {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-mended:
			return 0
		case <-over:
			return 0
		case <-c.gone:
			return syscall.EIO
		case <-ticker.C:
			if killed(c.thread) {
				return syscall.EINTR
			}
		}
	}
}
