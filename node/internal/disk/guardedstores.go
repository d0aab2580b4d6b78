package disk

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// guardedLog is a log of which Raft sees no failure. It is the lowest layer of what
// Raft is given: what is in memory above it costs no guarding.
type guardedLog struct {
	guard *Guard
	log   raft.LogStore
	file  string

	// One write at a time, which the stores below see to anyway; held as a value in the
	// channel, so that the time of a test's bubble goes on for those who wait.
	writing chan struct{}
}

func (g *Guard) wrapLog(log raft.LogStore, file string) *guardedLog {
	return &guardedLog{guard: g, log: log, file: file, writing: make(chan struct{}, 1)}
}

// FirstIndex implements raft.LogStore.
func (l *guardedLog) FirstIndex() (index uint64, err error) {
	err = l.guard.try("reading the first index of", l.file, func() (err error) {
		index, err = l.log.FirstIndex()
		return err
	})
	return index, err
}

// LastIndex implements raft.LogStore.
func (l *guardedLog) LastIndex() (index uint64, err error) {
	err = l.guard.try("reading the last index of", l.file, func() (err error) {
		index, err = l.log.LastIndex()
		return err
	})
	return index, err
}

// GetLog implements raft.LogStore. That an entry is not there is an answer, unless it
// must be: Raft panics over an entry that it has committed and does not find.
func (l *guardedLog) GetLog(index uint64, into *raft.Log) error {
	err := l.get(index, into)
	if err != raft.ErrLogNotFound {
		return err
	}
	if within, err := l.within(index); err != nil || !within {
		return cmp.Or(err, raft.ErrLogNotFound)
	}
	// A write may have come between the two looks.
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	if err := l.get(index, into); err != raft.ErrLogNotFound {
		return err
	}
	within, err := l.within(index)
	if err == nil && within {
		err = l.guard.do("reading", l.file, func() error { return fmt.Errorf("entry %d is lost", index) })
	}
	return cmp.Or(err, raft.ErrLogNotFound)
}

// get returns raft.ErrLogNotFound as it is: Raft compares it.
func (l *guardedLog) get(index uint64, into *raft.Log) error {
	missing := false
	err := l.guard.do("reading", l.file, func() error {
		err := l.log.GetLog(index, into)
		if missing = errors.Is(err, raft.ErrLogNotFound); missing {
			return nil
		}
		return err
	})
	if err == nil && missing {
		return raft.ErrLogNotFound
	}
	return err
}

// within reports whether index is between the ends of the log.
func (l *guardedLog) within(index uint64) (bool, error) {
	var first, last uint64
	err := l.guard.do("reading", l.file, func() (err error) {
		if first, err = l.log.FirstIndex(); err != nil {
			return err
		}
		last, err = l.log.LastIndex()
		return err
	})
	return first <= index && index <= last, err
}

// StoreLog implements raft.LogStore.
func (l *guardedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l *guardedLog) StoreLogs(entries []*raft.Log) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	return l.guard.do("writing to", l.file, func() error { return l.log.StoreLogs(entries) })
}

// DeleteRange implements raft.LogStore; from and to are included.
func (l *guardedLog) DeleteRange(from, to uint64) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	return l.guard.try("deleting entries of", l.file, func() error { return l.log.DeleteRange(from, to) })
}

// guardedStable is a stable store of which Raft sees no failure.
type guardedStable struct {
	guard  *Guard
	stable raft.StableStore
	file   string
}

func (g *Guard) wrapStable(stable raft.StableStore, file string) *guardedStable {
	return &guardedStable{guard: g, stable: stable, file: file}
}

// Set implements raft.StableStore.
func (s *guardedStable) Set(key, value []byte) error {
	return s.guard.do("writing to", s.file, func() error { return s.stable.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (s *guardedStable) SetUint64(key []byte, value uint64) error {
	return s.guard.do("writing to", s.file, func() error { return s.stable.SetUint64(key, value) })
}

// Get implements raft.StableStore.
func (s *guardedStable) Get(key []byte) (value []byte, err error) {
	err = s.read(func() (err error) {
		value, err = s.stable.Get(key)
		return err
	})
	return value, err
}

// GetUint64 implements raft.StableStore.
func (s *guardedStable) GetUint64(key []byte) (value uint64, err error) {
	err = s.read(func() (err error) {
		value, err = s.stable.GetUint64(key)
		return err
	})
	return value, err
}

// read lets the one error through that is an answer. Raft knows it by its text.
func (s *guardedStable) read(call func() error) error {
	var missing error
	err := s.guard.do("reading", s.file, func() error {
		err := call()
		if err != nil && err.Error() == "not found" {
			missing, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	return missing
}

// parkedLog is the uppermost layer: a write that got no further than to a look at the
// ends of the log, which fails and is not parked, is parked here.
type parkedLog struct {
	raft.LogStore
	guard *Guard
}

// StoreLog implements raft.LogStore.
func (l *parkedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l *parkedLog) StoreLogs(entries []*raft.Log) error {
	err := l.LogStore.StoreLogs(entries)
	if err != nil && l.guard.Failed() != nil {
		l.guard.park()
	}
	return err
}
