package disk

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// memoryLog is a log and stable store without a file. Every write is atomic, so a
// clone is what a disk would hold if the power failed at that moment.
type memoryLog struct {
	faults *faults

	mu          sync.Mutex // guards all below
	entries     map[uint64]raft.Log
	first, last uint64 // 0, 0: empty
	values      map[string][]byte
	numbers     map[string]uint64
}

func newMemoryLog(f *faults) *memoryLog {
	return &memoryLog{faults: f, entries: make(map[uint64]raft.Log), values: make(map[string][]byte), numbers: make(map[string]uint64)}
}

func (l *memoryLog) clone(f *faults) *memoryLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &memoryLog{
		faults: f, entries: maps.Clone(l.entries), first: l.first, last: l.last,
		values: maps.Clone(l.values), numbers: maps.Clone(l.numbers),
	}
}

// FirstIndex implements raft.LogStore.
func (l *memoryLog) FirstIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, nil
}

// LastIndex implements raft.LogStore.
func (l *memoryLog) LastIndex() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, nil
}

// GetLog implements raft.LogStore.
func (l *memoryLog) GetLog(index uint64, into *raft.Log) error {
	if err := l.faults.meet(Reads); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[index]
	if !ok {
		return raft.ErrLogNotFound
	}
	*into = e
	return nil
}

// StoreLog implements raft.LogStore.
func (l *memoryLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l *memoryLog) StoreLogs(entries []*raft.Log) error {
	err := l.faults.sync(Log, func(l *memoryLog, _ *memorySnapshots, r *rand.Rand) { l.put(entries[:r.IntN(len(entries)+1)]) })
	if err == nil {
		l.put(entries)
	}
	return err
}

func (l *memoryLog) put(entries []*raft.Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.entries[e.Index] = *e
		if l.first == 0 {
			l.first = e.Index
		}
		l.last = max(l.last, e.Index)
	}
}

// DeleteRange implements raft.LogStore; from and to are included.
func (l *memoryLog) DeleteRange(from, to uint64) error {
	return l.write(Log, func(l *memoryLog) { l.delete(from, to) })
}

// write makes a change that is all there or not at all.
func (l *memoryLog) write(p Part, change func(*memoryLog)) error {
	err := l.faults.sync(p, func(l *memoryLog, _ *memorySnapshots, r *rand.Rand) {
		if r.IntN(2) == 1 {
			l.change(change)
		}
	})
	if err == nil {
		l.change(change)
	}
	return err
}

func (l *memoryLog) change(how func(*memoryLog)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how(l)
}

// delete is called with the lock held.
func (l *memoryLog) delete(from, to uint64) {
	for i := from; i <= to; i++ {
		delete(l.entries, i)
	}
	if from <= l.first {
		l.first = to + 1
	}
	if to >= l.last {
		l.last = from - 1
	}
	if l.first > l.last {
		l.first, l.last = 0, 0
	}
}

// Set implements raft.StableStore.
func (l *memoryLog) Set(key, value []byte) error {
	return l.write(Stable, func(l *memoryLog) { l.values[string(key)] = slices.Clone(value) })
}

// Get implements raft.StableStore.
func (l *memoryLog) Get(key []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, ok := l.values[string(key)]
	if !ok {
		return nil, errors.New("not found") // Raft compares this text
	}
	return slices.Clone(value), nil
}

// SetUint64 implements raft.StableStore.
func (l *memoryLog) SetUint64(key []byte, value uint64) error {
	return l.write(Stable, func(l *memoryLog) { l.numbers[string(key)] = value })
}

// GetUint64 implements raft.StableStore.
func (l *memoryLog) GetUint64(key []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.numbers[string(key)], nil
}
