package disk

import (
	"errors"
	"maps"
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

func newMemoryLog() *memoryLog {
	return &memoryLog{faults: new(faults), entries: make(map[uint64]raft.Log), values: make(map[string][]byte), numbers: make(map[string]uint64)}
}

func (l *memoryLog) clone() *memoryLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &memoryLog{
		faults: l.faults.clone(), entries: maps.Clone(l.entries), first: l.first, last: l.last,
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
	if err := l.faults.meet(Log); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.entries[e.Index] = *e
		if l.first == 0 {
			l.first = e.Index
		}
		l.last = max(l.last, e.Index)
	}
	return nil
}

// DeleteRange implements raft.LogStore; from and to are included.
func (l *memoryLog) DeleteRange(from, to uint64) error {
	if err := l.faults.meet(Log); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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
	return nil
}

// Set implements raft.StableStore.
func (l *memoryLog) Set(key, value []byte) error {
	if err := l.faults.meet(Stable); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values[string(key)] = slices.Clone(value)
	return nil
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
	if err := l.faults.meet(Stable); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers[string(key)] = value
	return nil
}

// GetUint64 implements raft.StableStore.
func (l *memoryLog) GetUint64(key []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.numbers[string(key)], nil
}
