package disk

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// smallSegments opens a log of segments that are full after an entry or two.
func smallSegments(t *testing.T, dir string) (log raft.LogStore, list segmentList, end func()) {
	t.Helper()
	must(t, makeDir(dir))
	db, err := openBolt(t.Context(), filepath.Join(dir, logFile), os.OpenFile)
	must(t, err)
	list = segmentList{db}
	log, closeLog, err := openSegments(filepath.Join(dir, walDir), list, 1024, hclog.NewNullLogger())
	if err != nil {
		must(t, errors.Join(err, db.Close()))
	}
	return log, list, func() { must(t, errors.Join(closeLog(true), db.Close())) }
}

func big(index uint64) *raft.Log {
	e := entry(index)
	e.Data = []byte(strings.Repeat("y", 600))
	return e
}

func TestWAL_KeepsEverythingOverManySegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	next := uint64(1)
	for range 4 {
		log, list, end := smallSegments(t, dir)
		must(t, verify(t.Context(), log, new(memorySnapshots)))
		if last, err := log.LastIndex(); err != nil || last != next-1 {
			t.Fatalf("%v: last %d, want %d", err, last, next-1)
		}
		for range 10 {
			must(t, log.StoreLog(big(next)))
			next++
		}
		if state, err := list.Load(""); err != nil || len(state.Segments) < 3 {
			t.Fatalf("%v: %d segments; the test shows nothing", err, len(state.Segments))
		}
		end()
	}
}

// The entry that fills a segment is on disk before the list says so.
func TestWAL_TakesEntriesAfterACrashWithAFullTail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	log, list, end := smallSegments(t, dir)
	must(t, log.StoreLog(big(1)))
	before, err := list.Load("")
	must(t, err)
	must(t, log.StoreLog(big(2)))
	must(t, log.(*wal.WAL).DeleteRange(9, 9)) // nothing; but it waits for the next segment
	after, err := list.Load("")
	must(t, err)
	if len(after.Segments) != len(before.Segments)+1 {
		t.Fatalf("%d segments, then %d; the test shows nothing", len(before.Segments), len(after.Segments))
	}
	end()
	db, err := openBolt(t.Context(), filepath.Join(dir, logFile), os.OpenFile)
	must(t, err)
	must(t, segmentList{db}.CommitState(before)) // as it was at the crash
	must(t, db.Close())

	for i := range uint64(3) {
		log, _, end := smallSegments(t, dir)
		must(t, verify(t.Context(), log, new(memorySnapshots)))
		must(t, log.StoreLog(big(i+3)))
		if last, err := log.LastIndex(); err != nil || last != i+3 {
			t.Errorf("%v: last %d, want %d", err, last, i+3)
		}
		end()
	}
}

func TestWAL_RefusesAnyMissingOrShortSegment(t *testing.T) {
	for _, c := range []struct {
		what string
		hurt func(path string) error
		want error
	}{
		{"missing", os.Remove, errLogLost},
		{"empty", func(path string) error { return os.Truncate(path, 0) }, errLogLost},
		{"short", func(path string) error { return os.Truncate(path, 700) }, errLogDamaged},
		{"garbage", func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 200)), 32)
			return errors.Join(err, f.Close())
		}, nil},
		{"zeroes", func(path string) error { return errors.Join(os.Truncate(path, 0), os.Truncate(path, 1024)) }, nil},
	} {
		for nth := range 3 {
			dir := filepath.Join(t.TempDir(), "data")
			log, _, end := smallSegments(t, dir)
			for i := range uint64(5) {
				must(t, log.StoreLog(big(i+1)))
			}
			end()
			paths, err := filepath.Glob(filepath.Join(dir, walDir, "*.wal"))
			must(t, err)
			if len(paths) < 3 {
				t.Fatalf("%d segments", len(paths))
			}
			must(t, c.hurt(paths[nth]))
			db, err := openBolt(t.Context(), filepath.Join(dir, logFile), os.OpenFile)
			must(t, err)
			log, closeLog, err := openSegments(filepath.Join(dir, walDir), segmentList{db}, 1024, hclog.NewNullLogger())
			if err == nil {
				err = errors.Join(verify(t.Context(), log, new(memorySnapshots)), closeLog(true))
			}
			if c.want == nil && !errors.Is(err, errLogLost) && !errors.Is(err, errLogDamaged) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("segment %d of %d %s: %v", nth, len(paths), c.what, err)
			}
			must(t, db.Close())
		}
	}
}

// A segment that is in the list and was never written to may be gone after a crash.
func TestWAL_MakesAnUnusedTailAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, _, end := smallSegments(t, dir)
	end()
	must(t, os.RemoveAll(filepath.Join(dir, walDir)))
	log, _, end := smallSegments(t, dir)
	defer end()
	must(t, log.StoreLog(big(1)))
}

func TestWAL_AcknowledgesOnlyWhatALostTailWouldBeMissedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	log, list, _ := smallSegments(t, dir)
	must(t, list.db.Close())
	if err := log.StoreLog(entry(1)); err == nil {
		t.Error("acknowledged, though the note could not be made")
	}
	must(t, log.(*wal.WAL).Close())
}

func TestWAL_LeavesTheStandardLoggerToTheHost(t *testing.T) {
	if log.Writer() != os.Stderr || log.Flags() != log.LstdFlags || log.Prefix() != "" {
		t.Errorf("it writes to %T with flags %d and prefix %q", log.Writer(), log.Flags(), log.Prefix())
	}
}

var _ types.MetaStore = segmentList{}

// The library makes the next segment without a sync: a power loss may leave it short.
// One such was taken, used, and refused at the start after.
func TestWAL_MakesAShortUnusedTailAgain(t *testing.T) {
	for _, size := range []int64{0, 1, 40, 700} {
		dir := filepath.Join(t.TempDir(), "data")
		log, list, end := smallSegments(t, dir)
		must(t, log.StoreLog(big(1)))
		must(t, log.StoreLog(big(2)))
		must(t, log.(*wal.WAL).DeleteRange(9, 9)) // nothing; but it waits for the next segment
		state, err := list.Load("")
		must(t, err)
		end()
		tail := filepath.Join(dir, walDir, segment.FileName(state.Segments[len(state.Segments)-1]))
		must(t, os.Truncate(tail, size))
		for i := range uint64(3) {
			log, _, end := smallSegments(t, dir)
			must(t, verify(t.Context(), log, new(memorySnapshots)))
			must(t, log.StoreLog(entry(3+i)))
			end()
		}
	}
}

// tornSeal makes a directory as a kill leaves it within the append of the entry
// that fills the tail: hurt gets the bytes of that append. There are acknowledged entries before it.
func tornSeal(t *testing.T, acknowledged uint64, hurt func(b []byte)) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	log, list, _ := smallSegments(t, dir)
	for i := range acknowledged {
		must(t, log.StoreLog(big(i+1)))
	}
	must(t, log.(*wal.WAL).DeleteRange(90, 90)) // nothing; but it waits for the next segment
	before, err := list.Load("")
	must(t, err)
	begun, err := list.begun()
	must(t, err)
	path := filepath.Join(dir, walDir, segment.FileName(before.Segments[len(before.Segments)-1]))
	old, err := os.ReadFile(path)
	must(t, err)
	must(t, log.StoreLog(filling(acknowledged+1)))
	must(t, log.(*wal.WAL).DeleteRange(90, 90))
	if after, err := list.Load(""); err != nil || len(after.Segments) != len(before.Segments)+1 {
		t.Fatalf("%v: %d segments, then %d; the test shows nothing", err, len(before.Segments), len(after.Segments))
	}
	// Nothing of the end is noted either.
	must(t, errors.Join(list.CommitState(before), list.db.SetUint64(begunKey, begun), log.(*wal.WAL).Close(), list.db.Close()))

	now, err := os.ReadFile(path)
	must(t, err)
	old = append(old, make([]byte, len(now)-len(old))...) // it ends beyond the limit
	from, to := 0, len(now)
	for from < to && now[from] == old[from] {
		from++
	}
	for to > from && now[to-1] == old[to-1] {
		to--
	}
	hurt(now[from:to])
	must(t, os.WriteFile(path, now, 0o600))
	return dir
}

// filling is an entry that fills any segment.
func filling(index uint64) *raft.Log {
	e := entry(index)
	e.Data = []byte(strings.Repeat("z", 950))
	return e
}

// The index at a segment's end was taken for written as soon as it was begun, and
// the segment closed with it: no entry of it was found any more.
func TestWAL_KeepsEverythingOverATornSeal(t *testing.T) {
	for _, acknowledged := range []uint64{1, 2, 3} { // in the tail: one, none, one
		size := 0
		tornSeal(t, acknowledged, func(b []byte) { size = len(b) })
		for cut := 0; cut <= size; cut += 4 {
			if cut > 64 && cut < size-64 && cut%100 != 0 { // the entry's data
				continue
			}
			for what, hurt := range map[string]func(b []byte){
				"nothing from there on": func(b []byte) { clear(b[cut:]) },
				"8 bytes missing there": func(b []byte) { clear(b[cut:min(cut+8, size)]) },
			} {
				dir := tornSeal(t, acknowledged, hurt)
				if err := goesOn(t, dir, acknowledged); err != nil {
					t.Errorf("%d acknowledged, at byte %d of %d %s: %v", acknowledged, cut, size, what, err)
				}
			}
		}
	}
}

// goesOn opens a log of small segments again and again, and appends to it. It has all
// that was acknowledged, and at most one entry more.
func goesOn(t *testing.T, dir string, acknowledged uint64) error {
	t.Helper()
	want := []uint64{acknowledged, acknowledged + 1}
	for range 3 {
		db, err := openBolt(t.Context(), filepath.Join(dir, logFile), os.OpenFile)
		must(t, err)
		log, closeLog, err := openSegments(filepath.Join(dir, walDir), segmentList{db}, 1024, hclog.NewNullLogger())
		if err != nil {
			return errors.Join(err, db.Close())
		}
		last, err := log.LastIndex()
		if err == nil && !slices.Contains(want, last) {
			err = fmt.Errorf("ends at %d, want %v", last, want)
		}
		err = errors.Join(err, verify(t.Context(), log, new(memorySnapshots)), log.StoreLog(big(last+1)))
		if err := errors.Join(err, closeLog(true), db.Close()); err != nil {
			return err
		}
		want = []uint64{last + 1}
	}
	return nil
}
