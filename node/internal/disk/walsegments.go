package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/hashicorp/raft-wal/types"
)

// segmentList keeps the list of the WAL's segments beside term and vote. (The
// library's own file for it waits for its lock for ever.) It satisfies
// types.MetaStore.
type segmentList struct{ db *raftboltdb.BoltStore }

var (
	listKey  = []byte("wal segments")
	begunKey = []byte("wal begun")
	lastKey  = []byte("wal last")
)

// Load implements types.MetaStore: the list is empty at first.
func (l segmentList) Load(string) (types.PersistentState, error) {
	var state types.PersistentState
	b, err := l.GetStable(listKey)
	if err != nil || b == nil {
		return state, err
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return state, fmt.Errorf("%w: list of segments: %w", errLogDamaged, err)
	}
	return state, nil
}

// CommitState implements types.MetaStore.
func (l segmentList) CommitState(state types.PersistentState) error {
	b, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode list of segments: %w", err)
	}
	return l.db.Set(listKey, b)
}

// GetStable implements types.MetaStore: nil if there is none.
func (l segmentList) GetStable(key []byte) ([]byte, error) {
	b, err := l.db.Get(key)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil, nil
	}
	return b, err
}

// SetStable implements types.MetaStore.
func (l segmentList) SetStable(key, value []byte) error { return l.db.Set(key, value) }

// Close implements types.MetaStore. The file is closed by who opened it.
func (l segmentList) Close() error { return nil }

// begun returns the number below which segments have held an acknowledged entry.
func (l segmentList) begun() (uint64, error) { return l.number(begunKey) }

func (l segmentList) number(key []byte) (uint64, error) {
	n, err := l.db.GetUint64(key)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return 0, nil
	}
	return n, err
}

// closing notes how far the log goes.
func (l segmentList) closing(log raft.LogStore) error {
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	return l.db.SetUint64(lastKey, last)
}

// reopened compares what there is with what closing has noted. The library ends
// the tail at the first byte that makes no sense, since a crash leaves such bytes;
// but a log that was closed has none. After a crash nothing is noted, and damage
// to the tail that leaves some of its entries goes unseen.
func (l segmentList) reopened(log raft.LogStore) error {
	noted, err := l.number(lastKey)
	if err != nil || noted == 0 {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	if last < noted {
		return fmt.Errorf("%w: it ends at entry %d, and ended at %d when it was closed", errLogDamaged, last, noted)
	}
	return l.db.SetUint64(lastKey, 0)
}

// segments are the files. It notes which of them have been written to, because
// the library cannot tell a lost tail from one that was never begun.
type segments struct {
	types.SegmentFiler
	list segmentList

	taken  bool        // the library has its log, and closes the files
	opened []io.Closer // before that: if it fails, it leaves them open
}

// Open implements types.SegmentFiler.
func (s *segments) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	r, err := s.SegmentFiler.Open(info)
	if err == nil {
		s.note(r)
	}
	return r, err
}

// Create implements types.SegmentFiler.
func (s *segments) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := s.SegmentFiler.Create(info)
	return s.tail(info, w, err)
}

// RecoverTail implements types.SegmentFiler.
func (s *segments) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := s.SegmentFiler.RecoverTail(info)
	return s.tail(info, w, err)
}

func (s *segments) tail(info types.SegmentInfo, w types.SegmentWriter, err error) (types.SegmentWriter, error) {
	if err != nil {
		return nil, err
	}
	s.note(w)
	return &tail{SegmentWriter: w, list: s.list, id: info.ID}, nil
}

func (s *segments) note(c io.Closer) {
	if !s.taken {
		s.opened = append(s.opened, c)
	}
}

// abandon closes the files of a log that was not opened after all.
func (s *segments) abandon() error {
	var errs []error
	for _, c := range s.opened {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// tail is the segment that is appended to.
type tail struct {
	types.SegmentWriter
	list  segmentList
	id    uint64
	begun bool // for who appends: one at a time
}

// Append implements types.SegmentWriter.
func (t *tail) Append(entries []types.LogEntry) error {
	if err := t.SegmentWriter.Append(entries); err != nil || t.begun {
		return err
	}
	// After the entries, before their answer: a crash in between leaves a segment
	// that has more than was promised, never less.
	if err := t.list.db.SetUint64(begunKey, t.id+1); err != nil {
		return fmt.Errorf("note that segment %d is in use: %w", t.id, err)
	}
	t.begun = true
	return nil
}
