package disk

import (
	"errors"
	"fmt"
	"sync"
)

// Memory is a disk without files.
type Memory struct {
	mu       sync.Mutex // guards all below
	open     bool
	sid      string
	log      *memoryLog
	snaps    *memorySnapshots
	identity *Identity
}

// Open is to Memory what the package's Open is to a directory.
func (m *Memory) Open(sid string) (*Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.open:
		return nil, errors.New("in-memory disk is in use by another node")
	case m.identity == nil:
		m.sid, m.log = sid, newMemoryLog()
		m.snaps = &memorySnapshots{faults: m.log.faults}
		m.identity = memoryIdentity(newIdentity(sid, BoltDB)) // it has neither
	case m.sid != sid:
		return nil, fmt.Errorf("in-memory disk belongs to server %q, not %q: give each server its own", m.sid, sid)
	}
	if err := m.identity.content().Retired.refusal("in-memory disk"); err != nil {
		return nil, err
	}
	m.open = true
	log := m.log
	g := newGuard()
	stable, err := openBallot(g.wrapStable(log, "memory"))
	if err != nil {
		return nil, err
	}
	snapshots := &guardedSnapshots{guard: g, SnapshotStore: m.snaps, dir: "memory"}
	return &Store{
		Log: &parkedLog{&gapless{g.wrapLog(log, "memory"), snapshots}, g}, Stable: stable, Snapshots: snapshots,
		Identity: m.identity, Guard: g, Space: func() (Space, error) { return log.faults.space(), nil }, least: leastFree,
		close: func() error { return m.release(log) },
	}, nil
}

// PowerOff freezes the disk as it is. Whoever has it open goes on with a copy
// that nobody will ever read: a process that was killed must not write to what
// its successor opens. It can be opened again at once, and is not stalled.
func (m *Memory) PowerOff() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log != nil {
		defer m.log.faults.resume(nil) // of the old log: what waits there goes on to write to it
	}
	if !m.open {
		return
	}
	m.log = m.log.clone()
	m.snaps = m.snaps.clone(m.log.faults)
	m.identity = memoryIdentity(m.identity.content())
	m.open = false
}

// Stall makes parts of the disk hold every call that begins from now on, until resume
// or PowerOff. Nothing of it is there before; all else works. ok is false if the
// disk was never opened, or one of them is stalled already.
func (m *Memory) Stall(which ...Part) (resume func(), ok bool) {
	f := m.faults()
	if f == nil {
		return nil, false
	}
	return f.stall(which)
}

// Fail makes every call to parts of the disk fail with err, until Fail with nil. ok is
// false if the disk was never opened.
func (m *Memory) Fail(err error, which ...Part) (ok bool) {
	f := m.faults()
	if f != nil {
		f.fail(which, err)
	}
	return f != nil
}

// Fill leaves so many bytes on the disk; with 0 nothing can be written. Empty ends
// that. ok is false if the disk was never opened.
func (m *Memory) Fill(free uint64) (ok bool) {
	f := m.faults()
	if f != nil {
		f.fill(free, true)
	}
	return f != nil
}

// Empty makes room for everything.
func (m *Memory) Empty() {
	if f := m.faults(); f != nil {
		f.fill(0, false)
	}
}

// faults are those of now; nil if the disk was never opened.
func (m *Memory) faults() *faults {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		return nil
	}
	return m.log.faults
}

// release is of the Store that was opened with log, which may be of before a PowerOff.
func (m *Memory) release(log *memoryLog) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == log {
		m.open = false
	}
	return nil
}

func memoryIdentity(id identity) *Identity {
	return &Identity{now: id, write: func(identity) error { return nil }}
}
