package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	raftfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// walDir holds the segments, each a preallocated file. Term, vote and the list of
// segments are in logFile.
const walDir = "wal"

// openWAL opens the log in dir, whose segments are listed in db.
func openWAL(dir string, db *raftboltdb.BoltStore, logger hclog.Logger) (log raft.LogStore, closeLog func(trusted bool) error, err error) {
	return openSegments(dir, segmentList{db}, wal.DefaultSegmentSize, logger)
}

func openSegments(dir string, list segmentList, size int, logger hclog.Logger) (log raft.LogStore, closeLog func(trusted bool) error, err error) {
	var w *wal.WAL
	files := &segments{SegmentFiler: segment.NewFiler(dir, raftfs.New()), list: list}
	err = guarded(func() (err error) {
		if err := prepare(dir, files); err != nil {
			return err
		}
		w, err = wal.Open(dir, wal.WithMetaStore(list), wal.WithSegmentFiler(files), wal.WithSegmentSize(size), wal.WithLogger(logger))
		if errors.Is(err, types.ErrCorrupt) {
			return fmt.Errorf("%w: %w", errLogDamaged, err)
		}
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(err, files.abandon())
	}
	files.taken, files.opened = true, nil
	if err := list.reopened(w); err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	return w, func(trusted bool) error {
		if !trusted { // nobody knows where it ends
			return w.Close()
		}
		// The library's goroutine for new segments is told to end, and is then at most a
		// few instructions from it; it offers nothing to wait for that.
		return errors.Join(list.closing(w), w.Close())
	}, nil
}

// prepare makes dir, or refuses it: the library takes a tail that is missing, empty
// or cut short for one that was never written to.
func prepare(dir string, files *segments) error {
	state, err := files.list.Load(dir)
	if err != nil {
		return err
	}
	begun, err := files.list.begun()
	if err != nil {
		return err
	}
	for _, s := range state.Segments {
		unused := s.SealTime.IsZero() && s.ID >= begun // nothing was ever acknowledged from it
		if err := whole(filepath.Join(dir, segment.FileName(s)), int64(s.SizeLimit), unused); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file that the library makes again it syncs with its directory; one that it finds
	// it takes for synced. But who made that may have been killed before it was.
	if err := errors.Join(syncDir(filepath.Dir(dir)), syncDir(dir)); err != nil {
		return err
	}
	return finishTail(dir, state, begun, files)
}

// whole refuses a segment's file that is not as long as all are made. One that was
// never used is removed instead, and the library makes it again: it makes them without
// a sync, so a power loss may leave one short, and it would use that as it is.
func whole(path string, size int64, unused bool) error {
	info, err := os.Stat(path)
	switch {
	case unused && errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", errLogLost, err)
	case err != nil:
		return err
	case info.Size() >= size:
		return nil
	case unused:
		return os.Remove(path)
	case info.Size() == 0:
		return errLogLost
	default:
		return fmt.Errorf("%w: %s has %d bytes of at least %d", errLogDamaged, info.Name(), info.Size(), size)
	}
}

// finishTail looks at the tail as the library will find it. One that is full but
// for which the crash came before the next was made would take no entry any more. If
// only a part of its end was written, it is not full.
func finishTail(dir string, state types.PersistentState, begun uint64, files *segments) error {
	if len(state.Segments) == 0 {
		return nil
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	path := filepath.Join(dir, segment.FileName(*tail))
	err := syncFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // prepare has let it pass
	}
	if err != nil {
		return err
	}
	w, err := files.SegmentFiler.RecoverTail(*tail)
	if err != nil {
		return fmt.Errorf("%w: %w", errLogDamaged, err)
	}
	defer w.Close()
	last := w.LastIndex()
	if last == 0 && tail.ID < begun {
		return fmt.Errorf("%w: %s has no entry left", errLogDamaged, segment.FileName(*tail))
	}
	sealed, index, err := w.Sealed()
	if err != nil || !sealed {
		return err
	}
	tail.SealTime, tail.MaxIndex, tail.IndexStart = time.Now(), last, index
	found, err := indexed(*tail, w, files)
	if err != nil {
		return err
	}
	if !found {
		return unseal(path, int64(index))
	}
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last + 1, MinIndex: last + 1,
		SizeLimit: tail.SizeLimit, Codec: tail.Codec, CreateTime: tail.SealTime,
	})
	state.NextSegmentID++
	return files.list.CommitState(state)
}

// indexed reports whether the index at the end of a full tail finds what w finds
// without it. The library takes it for written as soon as it was begun: a crash within
// that append leaves any part of it.
func indexed(full types.SegmentInfo, w types.SegmentWriter, files *segments) (found bool, err error) {
	if w.LastIndex() == 0 {
		return false, nil
	}
	r, err := files.SegmentFiler.Open(full)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errLogDamaged, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for i := full.MinIndex; i <= full.MaxIndex; i++ {
		want, err := w.GetLog(i)
		if err != nil {
			return false, fmt.Errorf("%w: entry %d: %w", errLogDamaged, i, err)
		}
		got, err := r.GetLog(i)
		same := err == nil && bytes.Equal(got.Bs, want.Bs)
		if err == nil {
			_ = got.Close()
		}
		_ = want.Close() // it is a buffer's, as above
		if !same {
			return false, nil
		}
	}
	return true, nil
}

// syncFile makes durable what a killed process has written and not synced: what is
// read from now on counts as stored.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// unseal takes the head of an index at that place away, so that the tail ends before it.
func unseal(path string, index int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	const head = 8
	_, err = f.WriteAt(make([]byte, head), index-head)
	return errors.Join(err, f.Sync(), f.Close())
}
