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
		m.sid, m.log, m.snaps = sid, newMemoryLog(), new(memorySnapshots)
		m.identity = memoryIdentity(newIdentity(sid, BoltDB)) // it has neither
	case m.sid != sid:
		return nil, fmt.Errorf("in-memory disk belongs to server %q, not %q: give each server its own", m.sid, sid)
	}
	m.open = true
	log := m.log
	return &Store{
		Log: &gapless{log, m.snaps}, Stable: log, Snapshots: m.snaps, Identity: m.identity,
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
		defer m.log.resume(nil) // of the old log: what waits there goes on to write to it
	}
	if !m.open {
		return
	}
	m.log, m.snaps = m.log.clone(), m.snaps.clone()
	m.identity = memoryIdentity(m.identity.content())
	m.open = false
}

// Stall makes the disk hold every StoreLogs that begins from now on, until resume
// or PowerOff. Nothing of it is there before; all else works. ok is false if the
// disk was never opened, or is stalled already.
func (m *Memory) Stall() (resume func(), ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		return nil, false
	}
	log := m.log
	stalled, ok := log.stall()
	return func() { log.resume(stalled) }, ok
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
