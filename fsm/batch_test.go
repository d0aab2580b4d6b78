package fsm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func (w *world) wantBatch(b *fsmpb.Batch, want fsm.BatchResult) {
	w.t.Helper()
	got := w.apply(entryBatches(b)).Batches
	if diff := cmp.Diff([]fsm.BatchResult{want}, got); diff != "" {
		w.t.Errorf("batch %d (-want +got):\n%s", b.GetNumber(), diff)
	}
}

func TestState_RepeatedBatchGetsItsStoredResults(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	first := batch("a", e, 1, opAdd("x", "u", "a", e), opAdd("x", "u", "a", e))
	stored := fsm.BatchResult{Outcome: fsm.BatchApplied, Results: []byte{fsm.OpChanged, fsm.OpUnchanged}, Index: 3}
	w.wantBatch(first, stored)
	w.apply(entryDown("b", 1)) // time passes
	stored.Outcome = fsm.BatchRepeated
	w.wantBatch(first, stored)
}

func TestState_RepeatedBatchTakesNoEffect(t *testing.T) {
	w := newWorld(t, "a", "b")
	e := w.epoch("a")
	add := batch("a", e, 1, opAdd("x", "u", "a", e))
	w.send(add)
	w.do("b", opLeave("x", "u", "a", e))
	w.apply(entryBatches(add))
	w.wantMembers("x")
}

func TestState_OldAndGappedBatchesTakeNoEffect(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.wantBatch(batch("a", e, 2, opAdd("x", "u", "a", e)), fsm.BatchResult{Outcome: fsm.BatchGap})
	w.wantMembers("x")
	for range fsm.Window + 1 {
		w.do("a")
	}
	w.wantBatch(batch("a", e, 1, opAdd("x", "u", "a", e)), fsm.BatchResult{Outcome: fsm.BatchOld})
	w.wantBatch(batch("a", e, 0, opAdd("x", "u", "a", e)), fsm.BatchResult{Outcome: fsm.BatchOld})
	w.wantBatch(batch("a", e, fsm.Window+3, opAdd("x", "u", "a", e)), fsm.BatchResult{Outcome: fsm.BatchGap})
	w.wantMembers("x")
}

// The outbox may have a whole window unanswered when its leader dies; each of
// its batches may have been applied, and gets its own results.
func TestState_EveryBatchOfTheWindowKeepsItsResults(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	sent := make(map[uint64]*fsmpb.Batch)
	want := make(map[uint64]fsm.BatchResult)
	for n := uint64(1); n <= 2*fsm.Window; n++ {
		sent[n] = batch("a", e, n)
		for i := range n {
			op := opAdd("x", fmt.Sprint("u", i), "a", e)
			sent[n].Groups = append(sent[n].Groups, &fsmpb.Group{Ops: []*fsmpb.Op{op}})
		}
		got := w.apply(entryBatches(sent[n])).Batches[0]
		got.Outcome = fsm.BatchRepeated
		want[n] = got
	}
	answers := func() {
		t.Helper()
		for n, b := range sent {
			if n > fsm.Window {
				w.wantBatch(b, want[n])
			} else {
				w.wantBatch(b, fsm.BatchResult{Outcome: fsm.BatchOld})
			}
		}
	}
	answers()
	w.s = restored(t, snapshotOf(t, w.s))
	answers()
	w.apply(entryDown("a", e))
	answers()
	w.wantBatch(batch("a", e, 2*fsm.Window+1), fsm.BatchResult{Outcome: fsm.BatchFenced})
	w.s = restored(t, snapshotOf(t, w.s))
	answers()
}

// What an older binary wrote keeps one batch, as it did there: its snapshot may
// be what another replica starts from.
func TestState_BatchOfVersion1EndsTheWindow(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a")
	w.do("a")
	old := entryBatches(batch("a", e, 3))
	old.Version = 1
	if got := w.apply(old).Batches[0].Outcome; got != fsm.BatchApplied {
		t.Fatalf("outcome %d, want applied", got)
	}
	w.wantBatch(batch("a", e, 2), fsm.BatchResult{Outcome: fsm.BatchOld})
	w.wantBatch(batch("a", e, 3), fsm.BatchResult{Outcome: fsm.BatchRepeated, Index: 5})
	w.wantBatch(batch("a", e, 4), fsm.BatchResult{Outcome: fsm.BatchApplied, Index: 8})
	w.wantBatch(batch("a", e, 3), fsm.BatchResult{Outcome: fsm.BatchRepeated, Index: 5})
}

func TestState_NumberZeroIsNeverABatch(t *testing.T) {
	w := newWorld(t, "a")
	w.wantBatch(batch("a", w.epoch("a"), 0, opKind(fsmpb.OpKind_OP_DESTROY_ALL)), fsm.BatchResult{Outcome: fsm.BatchOld})
}

func TestState_LateBatchOfEndedLifeIsFenced(t *testing.T) {
	w := newWorld(t, "a", "b")
	e, eb := w.epoch("a"), w.epoch("b")
	done := batch("a", e, 1, opAdd("x", "u", "b", eb))
	w.send(done)
	w.apply(entryDown("a", e))
	w.wantBatch(batch("a", e, 2, opAdd("x", "v", "b", eb)), fsm.BatchResult{Outcome: fsm.BatchFenced})
	w.wantBatch(batch("a", e, 3, opAdd("x", "v", "b", eb)), fsm.BatchResult{Outcome: fsm.BatchFenced})
	w.wantMembers("x", "u@b")
	// What it had done before its end is still answered.
	w.wantBatch(done, fsm.BatchResult{Outcome: fsm.BatchRepeated, Results: []byte{fsm.OpChanged}, Index: 4})
	// Once the sid has a new life, nothing of the old one is.
	w.up(upOf("a", "inc-2"))
	w.wantBatch(done, fsm.BatchResult{Outcome: fsm.BatchForgotten})
	w.wantBatch(batch("a", e, 2, opAdd("x", "v", "b", eb)), fsm.BatchResult{Outcome: fsm.BatchForgotten})
	w.wantMembers("x", "u@b")
}

func TestState_BatchOfUnregisteredOriginIsForgotten(t *testing.T) {
	w := newWorld(t, "a")
	w.wantBatch(batch("nobody", gen(1), 1), fsm.BatchResult{Outcome: fsm.BatchForgotten})
	w.wantBatch(batch("a", 0, 1), fsm.BatchResult{Outcome: fsm.BatchForgotten})
	w.wantBatch(batch("a", w.epoch("a")+1, 1), fsm.BatchResult{Outcome: fsm.BatchForgotten})
}

func TestState_NumberingRestartsWithEachLife(t *testing.T) {
	w := newWorld(t, "a")
	w.do("a")
	w.do("a")
	r := w.apply(entryUp(upOf("a", "inc-a")))
	if r.Up.Outcome != fsm.UpSame || r.Up.LastNumber != 2 {
		t.Errorf("same incarnation: outcome %d, last number %d, want same life and 2", r.Up.Outcome, r.Up.LastNumber)
	}
	r = w.apply(entryUp(upOf("a", "inc-2")))
	if r.Up.Outcome != fsm.UpNew || r.Up.LastNumber != 0 {
		t.Errorf("new incarnation: outcome %d, last number %d, want new life and 0", r.Up.Outcome, r.Up.LastNumber)
	}
	w.do("a") // number 1 is the next one
}

func TestState_BatchesOfOneEntryApplyInOrder(t *testing.T) {
	w := newWorld(t, "a", "b")
	ea, eb := w.epoch("a"), w.epoch("b")
	r := w.apply(entryBatches(
		batch("a", ea, 1, opAdd("x", "u", "a", ea)),
		batch("b", eb, 1, opLeave("x", "u", "a", ea)),
		batch("a", ea, 3),
		batch("a", ea, 2, opAdd("x", "v", "a", ea)),
	))
	var outcomes []fsm.BatchOutcome
	for _, b := range r.Batches {
		outcomes = append(outcomes, b.Outcome)
	}
	want := []fsm.BatchOutcome{fsm.BatchApplied, fsm.BatchApplied, fsm.BatchGap, fsm.BatchApplied}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	w.wantMembers("x", "v@a")
}

func TestState_ResultsBelongToTheCaller(t *testing.T) {
	w := newWorld(t, "a")
	b := batch("a", w.epoch("a"), 1, opAdd("x", "u", "a", w.epoch("a")))
	w.send(b)[0] = 99
	w.apply(entryBatches(b)).Batches[0].Results[0] = 99
	wantResults(t, w.apply(entryBatches(b)).Batches[0].Results, fsm.OpChanged)
}

func TestState_GroupIsAllOrNothing(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	wantResults(t, w.group("a", opAdd("x", "u", "a", e), opAdd("x", "v", "gone", e), opAdd("x", "w", "a", e)),
		fsm.OpAborted, fsm.OpUnknownServer, fsm.OpAborted)
	w.wantMembers("x")
	wantResults(t, w.group("a", opAdd("x", "u", "a", e), opAdd("y", "u", "a", e)), fsm.OpChanged, fsm.OpChanged)
	w.wantMembers("x", "u@a")
}

func TestState_RefusedGroupDoesNotHarmTheOthersOfItsBatch(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: e, Number: 1, Groups: []*fsmpb.Group{
		{Ops: []*fsmpb.Op{opAdd("x", "u", "a", e)}},
		{},
		{Ops: []*fsmpb.Op{opDestroy("x"), opAdd("x", "v", "a", e-1)}},
		{Ops: []*fsmpb.Op{opAdd("x", "w", "a", e)}},
	}}
	wantResults(t, w.send(b), fsm.OpChanged, fsm.OpAborted, fsm.OpServerGone, fsm.OpChanged)
	w.wantMembers("x", "u@a", "w@a")
}

// Whether a Leave with an old epoch is refused depends on whether the member
// is there, and that on what the group itself did before.
func TestState_GroupIsCheckedAgainstItsOwnEarlierOperations(t *testing.T) {
	const old = 1
	for _, tc := range []struct {
		name string
		ops  func(e uint64) []*fsmpb.Op
		want []byte
	}{
		{"added before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "new", "a", e), opLeave("x", "new", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpServerGone}},
		{"left before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeave("x", "u", "a", e), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged}},
		{"destroyed before", func(uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opDestroy("x"), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged}},
		{"another destroyed before", func(uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opDestroy("y"), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpServerGone}},
		{"all destroyed before", func(uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opKind(fsmpb.OpKind_OP_DESTROY_ALL), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged}},
		{"destroyed and added again before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opDestroy("x"), opAdd("x", "u", "a", e), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpAborted, fsm.OpServerGone}},
		{"added, then destroyed", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "new", "a", e), opDestroy("x"), opLeave("x", "new", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpChanged, fsm.OpUnchanged}},
		{"kept by a newer session", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{session(opAdd("x", "u", "a", e), 5), session(opLeave("x", "u", "a", e), 4), opLeave("x", "u", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpAborted, fsm.OpServerGone}},
		{"left all before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeaveAll("u", "a", e), opLeave("x", "u", "a", old), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged, fsm.OpUnchanged}},
		{"left all, then added", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeaveAll("u", "a", e), opAdd("y", "u", "a", e), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpAborted, fsm.OpServerGone}},
		{"added, then left all", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("y", "u", "a", e), opLeaveAll("u", "a", e), opLeave("y", "u", "a", old), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpChanged, fsm.OpUnchanged, fsm.OpUnchanged}},
		{"another left all before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeaveAll("v", "a", e), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpAborted, fsm.OpServerGone}},
		{"left all before, but for a newer session", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{
				session(opAdd("y", "u", "a", e), 5), session(opLeaveAll("u", "a", e), 4),
				opLeave("x", "u", "a", old), session(opLeave("y", "u", "a", old), 9),
			}
		}, []byte{fsm.OpAborted, fsm.OpAborted, fsm.OpAborted, fsm.OpServerGone}},
		{"left all before, also the newer session", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{session(opAdd("y", "u", "a", e), 5), session(opLeaveAll("u", "a", e), 5), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpChanged, fsm.OpUnchanged}},
		{"left one by one before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("y", "u", "a", e), opLeave("x", "u", "a", e), opLeave("y", "u", "a", e), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpChanged, fsm.OpChanged, fsm.OpUnchanged}},
		{"its channel destroyed before", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opDestroy("x"), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged}},
		{"all destroyed before, then left all", func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opKind(fsmpb.OpKind_OP_DESTROY_ALL), opLeaveAll("u", "a", old)}
		}, []byte{fsm.OpChanged, fsm.OpUnchanged}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "a")
			w.do("a", opAdd("x", "u", "a", w.epoch("a")))
			wantResults(t, w.group("a", tc.ops(w.epoch("a"))...), tc.want...)
			if tc.want[len(tc.want)-1] == fsm.OpServerGone {
				w.wantMembers("x", "u@a")
			}
		})
	}
}

func TestState_InvalidStringsAreRefusedNotFatal(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a", opAdd("x", "u", "a", e))
	for _, bad := range []string{"", strings.Repeat("s", 256), "a\x00b", "\xff\xfe"} {
		wantResults(t, w.do("a",
			opAdd(bad, "u", "a", e), opAdd("x", bad, "a", e), opAdd("x", "u", bad, e),
			opLeave(bad, "u", "a", e), opLeave("x", bad, "a", e), opLeave("x", "u", bad, e),
			opDestroy(bad), opKind(fsmpb.OpKind_OP_UNSPECIFIED)),
			fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid, fsm.OpInvalid)
	}
	long := strings.Repeat("s", 65)
	wantResults(t, w.do("a", opAdd("x", "u", long, e), opAdd(strings.Repeat("n", 255), strings.Repeat("u", 255), "a", e)),
		fsm.OpInvalid, fsm.OpChanged)
	w.wantMembers("x", "u@a")
}

func TestState_UnbuiltOperationsAreUnsupported(t *testing.T) {
	w := newWorld(t, "a")
	meta := opAdd("x", "u", "a", w.epoch("a"))
	meta.Meta = []byte("m")
	wantResults(t, w.do("a", opKind(fsmpb.OpKind_OP_MOVE), opKind(fsmpb.OpKind_OP_SET_OPTIONS), meta),
		fsm.OpUnsupported, fsm.OpUnsupported, fsm.OpUnsupported)
	w.wantMembers("x")
}

func TestState_HaltsAtWhatItDoesNotUnderstand(t *testing.T) {
	newer := entryBatches()
	newer.Version = fsm.Version + 1
	strange := entryBatches(batch("a", gen(2), 1, opKind(99)))
	early := entryUp(resuming(upOf("b", "inc"), 0))
	early.Version = 2
	for name, tc := range map[string]struct {
		entry *fsmpb.Entry
		want  error
	}{
		"nothing":         {nil, fsm.ErrMalformed},
		"no version":      {new(fsmpb.Entry), fsm.ErrMalformed},
		"no command":      {entry(new(fsmpb.Entry)), fsm.ErrMalformed},
		"newer version":   {newer, fsm.ErrUnknownFormat},
		"unknown kind":    {strange, fsm.ErrUnknownFormat},
		"higher level":    {entryRaise(fsm.Version + 1), fsm.ErrUnknownFormat},
		"before its time": {early, fsm.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a")
			before := snapshotOf(t, w.s)
			for i, e := range []*fsmpb.Entry{tc.entry, entryUp(upOf("b", "inc-b"))} {
				r := w.s.Apply(w.next+uint64(i), e)
				if !errors.Is(r.Err, fsm.ErrHalted) || !errors.Is(r.Err, tc.want) || !strings.Contains(r.Err.Error(), "index 3") {
					t.Errorf("entry %d: error %v, want halted at index 3 with %v", i, r.Err, tc.want)
				}
			}
			if _, err := w.s.WriteSnapshot(new(strings.Builder)); !errors.Is(err, fsm.ErrHalted) {
				t.Errorf("snapshot of a halted state: error %v, want halted", err)
			}
			after, err := fsm.ReadSnapshot(strings.NewReader(string(before)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(after.Servers(), w.s.Servers()); diff != "" || w.s.Index() != after.Index() {
				t.Errorf("a halted state changed: index %d, servers\n%s", w.s.Index(), diff)
			}
		})
	}
}

func TestState_HaltsWhenAnIndexComesAgain(t *testing.T) {
	for _, index := range []uint64{0, 1, 2, 1 << 48} {
		w := newWorld(t, "a") // index 2
		if r := w.s.Apply(index, entryUp(upOf("b", "inc"))); !errors.Is(r.Err, fsm.ErrHalted) {
			t.Errorf("index %d after 2: error %v, want halted", index, r.Err)
		}
	}
}
