package disk

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// guardedDisk is an armed disk in a bubble. Served is what the guard said last.
type guardedDisk struct {
	t      *testing.T
	memory *Memory
	store  *Store
	served []bool

	mu     sync.Mutex // guards what follows while goroutines run
	ended  int        // goroutines of Raft
	passed []error
}

func onGuardedDisk(t *testing.T, test func(d *guardedDisk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &guardedDisk{t: t, memory: new(Memory)}
		d.store = openMemory(t, d.memory)
		must(t, d.store.Log.StoreLog(entry(1)))
		d.store.Guard.Arm(func(ok bool) { d.served = append(d.served, ok) })
		defer d.store.Guard.Release()
		test(d)
	})
}

// raft makes a call in a goroutine as Raft does, and waits until nothing happens any more.
func (d *guardedDisk) raft(call func() error) {
	go func() {
		defer func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ended++
		}()
		err := call()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.passed = append(d.passed, err)
	}()
	synctest.Wait()
}

// want compares how many goroutines have ended, and what they got, with all that was served.
func (d *guardedDisk) want(ended, passed int, served ...bool) {
	d.t.Helper()
	if d.ended != ended || len(d.passed) != passed {
		d.t.Errorf("%d goroutines ended, %d went on with %v; want %d, %d", d.ended, len(d.passed), d.passed, ended, passed)
	}
	if diff := cmp.Diff(served, d.served); diff != "" {
		d.t.Errorf("served: %s", diff)
	}
}

func (d *guardedDisk) says(err error, want ...string) {
	d.t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			d.t.Errorf("%v does not say %q", err, w)
		}
	}
}

func TestGuard_ParksWhatFails(t *testing.T) {
	calls := map[string]func(s *Store) error{
		"StoreLogs": func(s *Store) error { return s.Log.StoreLog(entry(2)) },
		"Set":       func(s *Store) error { return s.Stable.Set([]byte("LastVoteCand"), []byte("c")) },
		"SetUint64": func(s *Store) error { return s.Stable.SetUint64([]byte("CurrentTerm"), 7) },
		"GetLog":    func(s *Store) error { return s.Log.GetLog(1, new(raft.Log)) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			onGuardedDisk(t, func(d *guardedDisk) {
				d.memory.Fail(syscall.EIO, Log, Stable, Reads)
				changed := d.store.Guard.Changed()
				d.raft(func() error { return call(d.store) })
				d.want(0, 0, false)
				<-changed
				d.says(d.store.Guard.Err(), "the disk has failed", "memory: input/output error (since 2000-01-01T", "until it is started again")
				d.memory.Fail(nil, Log, Stable, Reads)
				for _, later := range calls { // the disk works, and is not to be trusted
					d.raft(func() error { return later(d.store) })
				}
				d.want(0, 0, false)
				d.store.Guard.Release()
				synctest.Wait()
				d.want(1+len(calls), 0, false)
			})
		})
	}
}

// Raft survives their failure, and who waits for Raft's goroutine must not wait for ever.
func TestGuard_AnswersWhatIsNoPanic(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		d.memory.Fail(syscall.EIO, Log)
		d.raft(func() error { return d.store.Log.DeleteRange(1, 1) })
		d.want(1, 1, false)
		d.says(d.passed[0], "input/output error")
		_, err := d.store.Log.LastIndex()
		d.says(err, "deleting entries of memory")
		_, err = d.store.Snapshots.List()
		d.says(err, "deleting entries of memory")
	})
}

func TestGuard_StallSilencesUntilTheCallReturns(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		resume, _ := d.memory.Stall(Log)
		d.raft(func() error { return d.store.Log.StoreLog(entry(2)) })
		time.Sleep(stallLimit - time.Nanosecond)
		synctest.Wait()
		d.want(0, 0)
		if err := errors.Join(d.store.Guard.Err(), d.store.Guard.Doubt()); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		d.want(0, 0, false)
		d.says(d.store.Guard.Err(), "the disk stalls: writing to memory has not returned since 2000-01-01T")
		if d.store.Guard.Failed() != nil {
			t.Error("a stall is not the end")
		}
		time.Sleep(time.Second)
		resume()
		synctest.Wait()
		d.want(1, 1, false, true)
		if err := errors.Join(d.passed[0], d.store.Guard.Err()); err != nil {
			t.Error(err)
		}
		d.says(d.store.Guard.Doubt(), "the disk stalled: writing to memory took 4s (until 2000-01-01T")
		time.Sleep(stallMemory)
		if err := d.store.Guard.Doubt(); err != nil {
			t.Errorf("still %v", err)
		}
		wantLog(t, d.store, 1, 2)
	})
}

// It is served again only when the last one has returned.
func TestGuard_StallsOverlap(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		first, _ := d.memory.Stall(Log)
		second, _ := d.memory.Stall(Stable)
		d.raft(func() error { return d.store.Log.StoreLog(entry(2)) })
		d.raft(func() error { return d.store.Stable.SetUint64([]byte("x"), 1) })
		time.Sleep(stallLimit)
		synctest.Wait()
		first()
		synctest.Wait()
		if d.served[len(d.served)-1] || d.store.Guard.Err() == nil {
			t.Error("served while another call hangs")
		}
		second()
		synctest.Wait()
		if !d.served[len(d.served)-1] || d.ended != 2 {
			t.Errorf("served %v, %d ended", d.served, d.ended)
		}
	})
}

func TestGuard_StallThatEndsInAnErrorIsAFailure(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		resume, _ := d.memory.Stall(Stable)
		d.raft(func() error { return d.store.Stable.SetUint64([]byte("x"), 1) })
		time.Sleep(stallLimit)
		synctest.Wait()
		d.memory.Fail(syscall.EIO, Stable)
		resume()
		synctest.Wait()
		for _, ok := range d.served {
			if ok {
				t.Error("served between the stall and the failure")
			}
		}
		d.want(0, 0, d.served...)
		d.says(d.store.Guard.Failed(), "input/output error")
	})
}

// What the libraries do with a file that cannot be read any more.
func TestGuard_PanicIsAFailure(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		broken := d.store.Guard.wrapLog(panicking{}, "raft.db")
		d.raft(func() error { return broken.GetLog(1, new(raft.Log)) })
		d.want(0, 0, false)
		d.says(d.store.Guard.Err(), "reading raft.db", "unexpected fault address")
	})
}

type panicking struct{ raft.LogStore }

func (panicking) GetLog(uint64, *raft.Log) error { panic("unexpected fault address") }

func TestGuard_LetsAnswersThrough(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		if err := d.store.Log.GetLog(2, new(raft.Log)); err != raft.ErrLogNotFound { // as Raft compares it
			t.Errorf("an entry beyond the end: %v", err)
		}
		_, err := d.store.Stable.Get([]byte("never"))
		d.says(err, "not found")
		d.want(0, 0)
	})
}

// Raft would panic over it as soon as it is committed.
func TestGuard_EntryThatMustBeThereIsAFailure(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		must(t, d.store.Log.StoreLogs([]*raft.Log{entry(2), entry(3)}))
		d.memory.mu.Lock()
		delete(d.memory.log.entries, 2)
		d.memory.mu.Unlock()
		d.raft(func() error { return d.store.Log.GetLog(2, new(raft.Log)) })
		d.want(0, 0, false)
		d.says(d.store.Guard.Err(), "entry 2 is lost")
	})
}

func TestGuard_SnapshotsAreDoubtedUntilOneSucceeds(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		d.memory.Fail(syscall.ENOSPC, Snapshots)
		if _, err := d.store.Snapshots.Create(1, 5, 1, raft.Configuration{}, 0, nil); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Create: %v", err)
		}
		d.says(d.store.Guard.Doubt(), "no snapshot could be written: beginning a snapshot in memory: no space left")
		d.memory.Fail(nil, Snapshots)
		takeSnapshot(t, d.store, 5)
		if err := errors.Join(d.store.Guard.Doubt(), d.store.Guard.Err()); err != nil {
			t.Error(err)
		}
		d.want(0, 0)
	})
}

func TestGuard_SnapshotThatHangsIsDoubted(t *testing.T) {
	onGuardedDisk(t, func(d *guardedDisk) {
		sink, err := d.store.Snapshots.Create(1, 5, 1, raft.Configuration{}, 0, nil)
		must(t, err)
		resume, _ := d.memory.Stall(Snapshots)
		d.raft(sink.Close)
		time.Sleep(snapshotStallLimit)
		synctest.Wait()
		d.says(d.store.Guard.Doubt(), "finishing a snapshot in memory has not returned")
		for _, ok := range d.served {
			if !ok {
				t.Error("Raft goes on without snapshots")
			}
		}
		resume()
		synctest.Wait()
		if d.ended != 1 || d.store.Guard.Err() != nil {
			t.Errorf("%d ended, %v", d.ended, d.store.Guard.Err())
		}
	})
}

// A start is refused with what its disk says.
func TestGuard_BeforeArmErrorsPass(t *testing.T) {
	m := new(Memory)
	s := openMemory(t, m)
	m.Fail(syscall.EIO, Log)
	if err := s.Log.StoreLog(entry(1)); !errors.Is(err, syscall.EIO) || s.Guard.Err() != nil {
		t.Errorf("%v, %v", err, s.Guard.Err())
	}
}

// A log whose writing failed ends nobody knows where: to note where it seems to end
// would make its next start one with a damaged log.
func TestGuard_FailedWALIsNotNotedAsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(t.Context(), dir, "c1", WAL, nil)
	must(t, err)
	must(t, s.Log.StoreLog(entry(1)))
	s.Guard.Arm(func(bool) {})
	defer s.Guard.Release()
	if !s.Guard.failed(&access{verb: "writing to", file: "wal"}, syscall.EIO) {
		t.Fatal("not failed")
	}
	must(t, s.Close())
	db, err := openBolt(t.Context(), filepath.Join(dir, logFile), openWritten)
	must(t, err)
	defer db.Close()
	if noted, err := (segmentList{db}).number(lastKey); err != nil || noted != 0 {
		t.Errorf("noted %d, %v", noted, err)
	}
}

func TestLevel_HasABoundAndRemembersIt(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, tc := range []struct {
		least, total uint64
		free         []uint64
		low          []bool
	}{
		{leastFree, gib, []uint64{100 * mib, 64 * mib, 63 * mib, 70 * mib, 80 * mib, 64 * mib}, []bool{false, false, true, true, false, false}},
		{leastFree, 1000 * gib, []uint64{11 * gib, 9 * gib, 11 * gib, 13 * gib}, []bool{false, true, true, false}},
		{walFree, gib, []uint64{128 * mib, 100 * mib}, []bool{false, true}},
	} {
		s := &Store{least: tc.least}
		level := s.Level()
		var got []bool
		for _, free := range tc.free {
			got = append(got, level.Judge(Space{Free: free, Total: tc.total}) != "")
		}
		if diff := cmp.Diff(tc.low, got); diff != "" {
			t.Errorf("%d of %d: %s", tc.least, tc.total, diff)
		}
	}
	if got, want := (&Level{least: leastFree}).Judge(Space{Free: 5 << 20, Total: gib}), "the disk is nearly full: 5 MiB are free, at least 64 MiB are needed to lead"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStore_SpaceIsOfItsFileSystem(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), "c1", BoltDB, nil)
	must(t, err)
	defer s.Close()
	space, err := s.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || space.Total == 0 || space.Free > space.Total {
		t.Error(fmt.Sprintf("%+v", space), err)
	}
}
