package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Memory is a disk without files.
type Memory struct {
	mu   sync.Mutex // guards all below
	open bool
	contents
}

// contents is what would be in the directory. Nil pointers: nothing, or not even that.
type contents struct {
	sid      string
	log      *memoryLog
	snaps    *memorySnapshots
	identity *Identity
}

// clone is what a disk with these faults would hold if the power failed now.
func (c contents) clone(f *faults) contents {
	return contents{sid: c.sid, log: c.log.clone(f), snaps: c.snaps.clone(f), identity: memoryIdentity(c.identity.content())}
}

const memoryDir = "memory" // in messages

// Open is to Memory what the package's Open is to a directory.
func (m *Memory) Open(sid string) (*Store, error) {
	c, err := m.lock(sid)
	if err != nil {
		return nil, err
	}
	s, err := m.locked(c) // reads, and may hang as the disk does
	if err != nil {
		return nil, errors.Join(err, m.release(c.log))
	}
	return s, nil
}

func (m *Memory) lock(sid string) (contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.open:
		return contents{}, errors.New("in-memory disk is in use by another node")
	case m.identity == nil:
		f := newFaults()
		m.contents = contents{sid, newMemoryLog(f), &memorySnapshots{faults: f}, memoryIdentity(newIdentity(sid, BoltDB))} // it has neither
	case m.sid != sid:
		return contents{}, fmt.Errorf("in-memory disk belongs to server %q, not %q: give each server its own", m.sid, sid)
	}
	if err := m.identity.content().Retired.refusal("in-memory disk"); err != nil {
		return contents{}, err
	}
	m.open = true
	return m.contents, nil
}

func (m *Memory) locked(c contents) (*Store, error) {
	log := checkedLog{c.log}
	if err := verify(context.Background(), log, c.snaps); err != nil {
		return nil, refusal(memoryDir, logFile, err)
	}
	if err := rejoin(log, c.snaps); err != nil {
		return nil, err
	}
	g := newGuard()
	stable, err := openBallot(g.wrapStable(c.log, memoryDir))
	if err != nil {
		return nil, refusal(memoryDir, logFile, err)
	}
	snapshots := g.wrapSnapshots(c.snaps, memoryDir)
	return &Store{
		Log: &parkedLog{&gapless{g.wrapLog(log, memoryDir), snapshots}, g}, Stable: stable, Snapshots: snapshots, Missing: snapshots.missing,
		Identity: c.identity, Guard: g, Space: func() (Space, error) { return c.log.faults.space(), nil }, least: leastFree,
		close: func() error { return m.release(c.log) },
	}, nil
}

// Snapshot is the index of the newest; 0: there is none.
func (m *Memory) Snapshot() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.snaps == nil {
		return 0
	}
	if list, err := m.snaps.List(); err == nil && len(list) > 0 {
		return list[0].Index
	}
	return 0
}

// LastIndex is of the newest entry, in the log or a snapshot; 0: there is none.
func (m *Memory) LastIndex() uint64 {
	snapshot := m.Snapshot()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		return snapshot
	}
	last, _ := m.log.LastIndex() // the log of a disk that is not read has no errors
	return max(last, snapshot)
}

// PowerOff freezes the disk as it is, without what was not yet answered. Whoever has it
// open goes on with a copy that nobody will ever read: a process that was killed must not
// write to what its successor opens. It can be opened again at once, and is not stalled.
func (m *Memory) PowerOff() { m.freeze() }

// CutPower is PowerOff of a disk that may have, of what it did not answer for yet, all,
// nothing or some: chance says what. What it answered for is there by definition.
func (m *Memory) CutPower(chance *rand.Rand) {
	unanswered := m.freeze()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range unanswered {
		w.survive(m.log, m.snaps, chance)
	}
}

func (m *Memory) freeze() (unanswered []*write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		return nil
	}
	old := m.log.faults
	if !m.open {
		old.resume(nil)
		return nil
	}
	unanswered = old.unanswered()
	m.contents = m.clone(old.clone())
	m.open = false
	old.end() // what waits there goes on to write to the old log
	return unanswered
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
