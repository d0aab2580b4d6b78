package fsm_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func logOf(t testing.TB, index uint64, e *fsmpb.Entry) *raft.Log {
	t.Helper()
	data, err := fsm.EncodeEntry(fsm.Version, e)
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Type: raft.LogCommand, Data: data}
}

// sampleLog is a log with some of everything, its indexes with gaps, as Raft's
// own entries leave them.
func sampleLog(t testing.TB) []*raft.Log {
	t.Helper()
	a, b := gen(5), gen(7)
	return []*raft.Log{
		logOf(t, 3, entryFound("cluster", nil)),
		logOf(t, 5, entryUp(upOf("a", "i"))),
		logOf(t, 7, entryUp(upOf("b", "i"))),
		logOf(t, 8, entryBatches(batch("a", a, 1, opAdd("x", "u", "a", a), opAdd("x", "v", "b", b)), batch("b", b, 1, opAdd("y", "u", "b", b)))),
		logOf(t, 9, entryUp(attachedOf("front", "i", "a", a))),
		logOf(t, 10, entryDown("b", b)),
	}
}

func replay(t testing.TB, r *fsm.Replica, logs []*raft.Log) {
	t.Helper()
	for _, l := range logs {
		if res := r.Apply(l).(fsm.Result); res.Err != nil || res.Index != l.Index {
			t.Fatalf("apply %d: index %d, error %v", l.Index, res.Index, res.Err)
		}
	}
}

func TestReplica_SameLogGivesSameHash(t *testing.T) {
	one, two := fsm.NewReplica(), fsm.NewReplica()
	for _, l := range sampleLog(t) {
		replay(t, one, []*raft.Log{l})
		replay(t, two, []*raft.Log{l})
		i, h := one.Hash()
		if i2, h2 := two.Hash(); i != l.Index || i != i2 || h != h2 || len(h) != 64 {
			t.Fatalf("after %d: %d %s and %d %s", l.Index, i, h, i2, h2)
		}
	}
}

func TestReplica_HashTellsStatesApart(t *testing.T) {
	seen := map[string]uint64{}
	r := fsm.NewReplica()
	for _, l := range sampleLog(t) {
		replay(t, r, []*raft.Log{l})
		_, h := r.Hash()
		if before, dup := seen[h]; dup {
			t.Errorf("indexes %d and %d have one hash", before, l.Index)
		}
		seen[h] = l.Index
	}
}

func TestReplica_IgnoresWhatIsNoCommand(t *testing.T) {
	r := fsm.NewReplica()
	for _, kind := range []raft.LogType{raft.LogNoop, raft.LogBarrier, raft.LogConfiguration} {
		if res := r.Apply(&raft.Log{Index: 4, Type: kind, Data: []byte("no command")}).(fsm.Result); res.Err != nil {
			t.Errorf("type %d: %v", kind, res.Err)
		}
	}
	r.StoreConfiguration(6, raft.Configuration{})
	if r.Index() != 0 || r.Halted() != nil {
		t.Errorf("index %d, halted %v; want 0 and healthy", r.Index(), r.Halted())
	}
}

func TestReplica_SnapshotCarriesOverToAnother(t *testing.T) {
	logs := sampleLog(t)
	one, two := fsm.NewReplica(), fsm.NewReplica()
	replay(t, one, logs[:4])
	if err := two.Restore(io.NopCloser(bytes.NewReader(persisted(t, one)))); err != nil {
		t.Fatal(err)
	}
	if two.Index() != 8 {
		t.Errorf("index %d, want 8", two.Index())
	}
	replay(t, one, logs[4:])
	replay(t, two, logs[4:])
	_, h1 := one.Hash()
	if _, h2 := two.Hash(); h1 != h2 {
		t.Error("the restored replica went another way")
	}
}

func TestReplica_SnapshotIsOfTheMomentItWasTaken(t *testing.T) {
	logs := sampleLog(t)
	r := fsm.NewReplica()
	replay(t, r, logs[:3])
	want := persisted(t, r)
	snap, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	replay(t, r, logs[3:])
	sink := &sink{}
	if err := snap.Persist(sink); err != nil {
		t.Fatal(err)
	}
	snap.Release()
	if !bytes.Equal(sink.Bytes(), want) || !sink.closed || sink.cancelled {
		t.Errorf("equal %v, closed %v, cancelled %v", bytes.Equal(sink.Bytes(), want), sink.closed, sink.cancelled)
	}
}

func TestReplica_FailedPersistCancelsTheSink(t *testing.T) {
	r := fsm.NewReplica()
	replay(t, r, sampleLog(t))
	for _, s := range []*sink{{writeErr: errors.New("disk full")}, {closeErr: errors.New("sync failed")}} {
		snap, err := r.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := snap.Persist(s); !errors.Is(err, cmp.Or(s.writeErr, s.closeErr)) {
			t.Errorf("persist: error %v", err)
		}
		if s.cancelled != (s.writeErr != nil) {
			t.Errorf("cancelled %v after write error %v", s.cancelled, s.writeErr)
		}
	}
}

func TestReplica_BadRestoreLeavesTheOldState(t *testing.T) {
	r := fsm.NewReplica()
	replay(t, r, sampleLog(t))
	_, before := r.Hash()
	data := persisted(t, r)
	data[len(data)-1] ^= 1
	changed := r.ServersChanged()
	if err := r.Restore(io.NopCloser(bytes.NewReader(data))); !errors.Is(err, fsm.ErrMalformed) {
		t.Errorf("restore: error %v, want malformed", err)
	}
	if _, after := r.Hash(); after != before || isClosed(changed) {
		t.Error("a refused snapshot changed the state")
	}
}

func TestReplica_HaltsAndSaysWhere(t *testing.T) {
	for name, data := range map[string][]byte{"newer": {8, fsm.Version + 1, 0x2a, 0}, "newer batches": {8, fsm.Version + 1, 0x1a, 0}, "garbage": []byte("garbage")} {
		t.Run(name, func(t *testing.T) {
			r := fsm.NewReplica()
			replay(t, r, sampleLog(t))
			good := persisted(t, r)
			_, before := r.Hash()
			first := r.Apply(&raft.Log{Index: 11, Type: raft.LogCommand, Data: data}).(fsm.Result)
			if !errors.Is(first.Err, fsm.ErrHalted) || first.Index != 11 {
				t.Fatalf("result %+v, want halted", first)
			}
			// Neither good nor bad entries make it forget the first reason.
			for i, d := range [][]byte{logOf(t, 12, entryDown("a", gen(5))).Data, []byte("more garbage")} {
				res := r.Apply(&raft.Log{Index: 12 + uint64(i), Type: raft.LogCommand, Data: d}).(fsm.Result)
				if res.Err == nil || res.Err.Error() != first.Err.Error() || res.Changed {
					t.Errorf("later entry: %+v", res)
				}
			}
			if _, err := r.Snapshot(); !errors.Is(err, fsm.ErrHalted) {
				t.Errorf("snapshot: error %v, want halted", err)
			}
			if r.Halted() == nil || r.Index() != 10 {
				t.Errorf("halted %v at index %d, want at 10", r.Halted(), r.Index())
			}
			if _, after := r.Hash(); after != before {
				t.Error("a halted state changed")
			}
			// A snapshot from beyond the entry replaces the halted state.
			if err := r.Restore(io.NopCloser(bytes.NewReader(good))); err != nil || r.Halted() != nil {
				t.Errorf("restore: %v, halted %v", err, r.Halted())
			}
		})
	}
}

func TestReplica_ApplyKeepsNothingOfItsEntry(t *testing.T) {
	r := fsm.NewReplica()
	logs := sampleLog(t)
	replay(t, r, logs)
	_, before := r.Hash()
	for _, l := range logs {
		for i := range l.Data {
			l.Data[i] = 'x'
		}
	}
	if _, after := r.Hash(); after != before {
		t.Error("the state changes with the bytes of an entry")
	}
}

// A log entry is up to 256 KiB, of which the state may need one name.
func TestReplica_KeepsNoBytesOfTheLogAlive(t *testing.T) {
	r := fsm.NewReplica()
	var entries []weak.Pointer[byte]
	for _, l := range sampleLog(t) {
		// In room of its own: Go puts what has less than 16 bytes into one block with others,
		// which holds them all for as long as one is held.
		l.Data = append(make([]byte, 0, 64), l.Data...)
		entries = append(entries, weak.Make(&l.Data[0]))
		replay(t, r, []*raft.Log{l})
	}
	runtime.GC()
	for i, e := range entries {
		if e.Value() != nil {
			t.Errorf("the bytes of entry %d are still held", i)
		}
	}
	runtime.KeepAlive(r)
}

func TestReplica_ServersChangedAtRecordsOnly(t *testing.T) {
	r := fsm.NewReplica()
	logs := sampleLog(t)
	for i, want := range []bool{false, true, true, false, true, true} {
		changed := r.ServersChanged()
		replay(t, r, logs[i:i+1])
		if isClosed(changed) != want {
			t.Errorf("entry %d: changed %v, want %v", logs[i].Index, isClosed(changed), want)
		}
	}
	changed := r.ServersChanged()
	replay(t, r, []*raft.Log{logOf(t, 11, entryUp(upOf("a", "i"))), logOf(t, 12, entryDown("b", 1))})
	if isClosed(changed) {
		t.Error("a repeated registration counts as a change")
	}
	if err := r.Restore(io.NopCloser(bytes.NewReader(persisted(t, r)))); err != nil || !isClosed(changed) {
		t.Errorf("restore: error %v, changed %v", err, isClosed(changed))
	}
}

func TestReplica_WaitReturnsWhenTheIndexIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fsm.NewReplica()
		logs := sampleLog(t)
		var mu sync.Mutex
		woken := map[uint64]uint64{} // by what was asked: index when it returned
		for ask := range uint64(11) {
			go func() {
				if err := r.Wait(t.Context(), ask); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				woken[ask] = r.Index()
			}()
		}
		synctest.Wait()
		for _, l := range logs {
			replay(t, r, []*raft.Log{l})
			synctest.Wait()
			mu.Lock()
			for ask := range uint64(11) {
				at, done := woken[ask]
				if done != (ask <= l.Index) || done && at < ask {
					t.Errorf("at %d, waiter for %d: woken %v at %d", l.Index, ask, done, at)
				}
			}
			mu.Unlock()
		}
		if n := fsm.WaitersLen(r); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	})
}

func TestReplica_WaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fsm.NewReplica()
		cause := errors.New("the caller went away")
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i%10)*time.Second, cause)
				defer cancel()
				if err := r.Wait(ctx, uint64(i%7)+1); !errors.Is(err, cause) {
					t.Errorf("error %v, want the cause", err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 9*time.Second {
			t.Errorf("took %v, want 9s", d)
		}
		if n := fsm.WaitersLen(r); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	})
}

func TestReplica_WaitPrefersTheIndexToAnEndedContext(t *testing.T) {
	r := fsm.NewReplica()
	replay(t, r, sampleLog(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, 10); err != nil {
		t.Errorf("reached index: %v", err)
	}
	if err := r.Wait(ctx, 11); !errors.Is(err, context.Canceled) {
		t.Errorf("index to come: %v", err)
	}
}

// The context ends, and before the waiter runs the index is reached.
func TestReplica_WaitSurvivesBothAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fsm.NewReplica()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if err := r.Wait(ctx, 3); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		first := sampleLog(t)[:1]
		synctest.Wait()
		cancel()
		replay(t, r, first)
		wg.Wait()
		if n := fsm.WaitersLen(r); n != 0 {
			t.Errorf("%d waiters are left", n)
		}
	})
}

func TestReplica_RestoreWakesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, r := fsm.NewReplica(), fsm.NewReplica()
		replay(t, source, sampleLog(t))
		done := make(chan error, 1)
		go func() { done <- r.Wait(t.Context(), 10) }()
		synctest.Wait()
		if err := r.Restore(io.NopCloser(bytes.NewReader(persisted(t, source)))); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Readers, waiters and the Raft goroutine at once, for the race detector.
func TestReplica_ReadersDoNotDisturbApply(t *testing.T) {
	r := fsm.NewReplica()
	replay(t, r, sampleLog(t))
	const last = 300
	var wg sync.WaitGroup
	for range 4 {
		changed := r.ServersChanged()
		wg.Go(func() {
			for i := uint64(11); i <= last; i += 7 {
				if err := r.Wait(t.Context(), i); err != nil {
					t.Error(err)
				}
				var members int
				var before, after uint64
				r.View(func(s *fsm.State) { before, members, after = s.Index(), len(s.Members("many").Members()), s.Index() })
				if before < i || before <= last && (members < int(before)-10 || members > int(after)-10+1) {
					t.Errorf("waited for %d: %d members between %d and %d", i, members, before, after)
				}
			}
			r.Hash()
			<-changed
		})
	}
	a := gen(5)
	for i := uint64(11); i <= last; i++ {
		replay(t, r, []*raft.Log{logOf(t, i, entryBatches(batch("a", a, i-9, opAdd("many", fmt.Sprint(i), "a", a))))})
	}
	replay(t, r, []*raft.Log{logOf(t, last+1, entryDown("a", a))})
	wg.Wait()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func persisted(t testing.TB, r *fsm.Replica) []byte {
	t.Helper()
	snap, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	s := &sink{}
	if err := snap.Persist(s); err != nil {
		t.Fatal(err)
	}
	return s.Bytes()
}

// sink is a raft.SnapshotSink in memory.
type sink struct {
	bytes.Buffer
	writeErr, closeErr error
	closed, cancelled  bool
}

func (s *sink) Write(p []byte) (int, error) {
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	return s.Buffer.Write(p)
}

func (s *sink) ID() string    { return "test" }
func (s *sink) Close() error  { s.closed = true; return s.closeErr }
func (s *sink) Cancel() error { s.cancelled = true; return nil }
