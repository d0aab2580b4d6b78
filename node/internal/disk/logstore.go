package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/hashicorp/raft"
)

// LogStore names the kind of log in a directory, which it keeps for good.
type LogStore string

// The kinds, as they stand in node.json.
const (
	BoltDB LogStore = "boltdb"
	WAL    LogStore = "wal"
)

var (
	errLogLost    = errors.New("the log is lost")
	errLogDamaged = errors.New("its content is wrong")
)

// refusal is err in words that say what to do, if it is about the content of the log.
func refusal(dir, what string, err error) error {
	switch {
	case errors.Is(err, errLogLost):
		return fmt.Errorf("data directory %s has lost its log (%s): restore the directory, or delete all of it to start as a new node", dir, what)
	case errors.Is(err, errLogDamaged):
		return fmt.Errorf("%s is damaged (%w): restore the directory, or delete all of it to start as a new node", filepath.Join(dir, what), err)
	default:
		return err
	}
}

// verify reads the whole log, the newest entry first, unless ctx ends. Raft panics, in a goroutine of
// its own, over an entry that it cannot read. What is below a hole, which older binaries left behind
// an installed snapshot, is removed if that is still there: nothing asks for it any more.
func verify(ctx context.Context, log raft.LogStore, snapshots raft.SnapshotStore) error {
	return guarded(func() error {
		first, err := log.FirstIndex()
		if err != nil {
			return fmt.Errorf("%w: first index: %w", errLogDamaged, err)
		}
		last, err := log.LastIndex()
		if err != nil {
			return fmt.Errorf("%w: last index: %w", errLogDamaged, err)
		}
		for i := last; i >= max(first, 1); i-- {
			if ctx.Err() != nil {
				return fmt.Errorf("read log: %w", context.Cause(ctx))
			}
			var e raft.Log
			err := log.GetLog(i, &e)
			if errors.Is(err, raft.ErrLogNotFound) && covered(snapshots, i) {
				return log.DeleteRange(first, i)
			}
			if err != nil {
				return fmt.Errorf("%w: entry %d: %w", errLogDamaged, i, err)
			}
			if e.Index != i {
				return fmt.Errorf("%w: entry %d says that it is %d", errLogDamaged, i, e.Index)
			}
		}
		return nil
	})
}

// rejoin empties a log that is not the cluster's: its entry where a snapshot ends has another term.
// Raft would take no entry for it any more (raft#697). Nothing from there on was ever committed, and
// what is before is in the snapshot.
func rejoin(log raft.LogStore, snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, s := range list {
		var e raft.Log
		err := log.GetLog(s.Index, &e)
		if errors.Is(err, raft.ErrLogNotFound) || err == nil && (e.Term == s.Term || !readable(snapshots, s.ID)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", s.Index, err)
		}
		first, err := log.FirstIndex()
		if err != nil {
			return fmt.Errorf("first index: %w", err)
		}
		last, err := log.LastIndex()
		if err != nil {
			return fmt.Errorf("last index: %w", err)
		}
		return log.DeleteRange(first, last)
	}
	return nil
}

// covered reports whether a snapshot that can be read has all up to index.
func covered(snapshots raft.SnapshotStore, index uint64) bool {
	list, err := snapshots.List()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(list, func(s *raft.SnapshotMeta) bool {
		return s.Index >= index && readable(snapshots, s.ID)
	})
}

// readable reads all of a snapshot and compares its checksum.
func readable(snapshots raft.SnapshotStore, id string) bool {
	_, r, err := snapshots.Open(id)
	return err == nil && r.Close() == nil
}

// guarded makes an error of a panic, and of a fault in a file that is shorter than
// what was mapped into memory: what the libraries do with bytes that make no sense.
func guarded(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errLogDamaged, r)
		}
	}()
	return read()
}
