package fsm_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// limitedTo is a world of "a" and "b", up since before the limits.
func limitedTo(t *testing.T, s *fsmpb.Settings) *world {
	t.Helper()
	w := newWorld(t, "a", "b")
	w.limit(s)
	return w
}

func (w *world) limit(s *fsmpb.Settings) {
	w.t.Helper()
	if r := w.apply(entrySettings(fmt.Sprint("wish", w.next), w.next, s)); !r.Changed {
		w.t.Fatal("settings refused")
	}
}

func TestState_LimitsMemberships(t *testing.T) {
	w := limitedTo(t, &fsmpb.Settings{MaxMembers: 2})
	a, b := w.epoch("a"), w.epoch("b")
	wantResults(t, w.do("a", opAdd("x", "u", "a", a), opAdd("y", "u", "a", a), opAdd("x", "u", "b", b)),
		fsm.OpChanged, fsm.OpChanged, fsm.OpLimit)
	// Who is there may come again, with a newer session too.
	wantResults(t, w.do("a", opAdd("x", "u", "a", a), session(opAdd("x", "u", "a", a), 7)), fsm.OpUnchanged, fsm.OpChanged)
	wantResults(t, w.do("a", opLeave("y", "u", "a", a), opAdd("x", "u", "b", b), opAdd("x", "v", "b", b)),
		fsm.OpChanged, fsm.OpChanged, fsm.OpLimit)
	w.wantMembers("x", "u@a", "u@b")
}

func TestState_LimitsChannels(t *testing.T) {
	w := limitedTo(t, &fsmpb.Settings{MaxChannels: 1})
	a := w.epoch("a")
	wantResults(t, w.do("a", opAdd("x", "u", "a", a), opAdd("y", "u", "a", a), opAdd("x", "v", "a", a)),
		fsm.OpChanged, fsm.OpLimit, fsm.OpChanged)
	wantResults(t, w.do("a", opDestroy("x"), opAdd("y", "u", "a", a), opAdd("x", "u", "a", a)), fsm.OpChanged, fsm.OpChanged, fsm.OpLimit)
}

// A parked member may come back, and so holds its place.
func TestState_LimitsCountParkedMembers(t *testing.T) {
	w := limitedTo(t, &fsmpb.Settings{MaxMembers: 1, MaxServers: 2})
	a, b := w.epoch("a"), w.epoch("b")
	wantResults(t, w.do("a", opAdd("x", "u", "a", a)), fsm.OpChanged)
	w.apply(entryDown("a", a))
	wantResults(t, w.do("b", opAdd("x", "u", "b", b)), fsm.OpLimit)
	w.s = restored(t, snapshotOf(t, w.s))
	wantResults(t, w.do("b", opAdd("x", "u", "b", b)), fsm.OpLimit)
	w.up(resuming(upOf("a", "inc-a"), a))
	w.wantMembers("x", "u@a")
	wantResults(t, w.do("b", opAdd("x", "u", "b", b)), fsm.OpLimit)
	w.apply(entryDown("a", w.epoch("a")))
	w.up(upOf("a", "inc-2")) // another process: they are dropped
	wantResults(t, w.do("b", opAdd("x", "u", "b", b)), fsm.OpChanged)
}

// What a group has done before counts, and a group that is refused does nothing.
func TestState_LimitsCountWhatTheGroupHasDone(t *testing.T) {
	const changed, aborted, limit = fsm.OpChanged, fsm.OpAborted, fsm.OpLimit
	settings := &fsmpb.Settings{MaxMembers: 3, MaxChannels: 2}
	for name, tc := range map[string]struct {
		ops  func(e uint64) []*fsmpb.Op
		want []byte
	}{
		"up to it": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "v", "a", e), opAdd("x", "u", "a", e)}
		}, []byte{changed, fsm.OpUnchanged}},
		"one more": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "v", "a", e), opAdd("x", "w", "a", e)}
		}, []byte{aborted, limit}},
		"a third channel": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeave("x", "u", "a", e), opAdd("x", "u", "a", e), opAdd("z", "u", "a", e)}
		}, []byte{aborted, aborted, limit}},
		"the place of one that left": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opLeave("x", "u", "a", e), opAdd("z", "v", "a", e), opAdd("z", "w", "a", e)}
		}, []byte{changed, changed, changed}},
		"the places in a destroyed channel": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "v", "a", e), opDestroy("x"), opAdd("z", "v", "a", e), opAdd("z", "w", "a", e)}
		}, []byte{changed, changed, changed, changed}},
		"the places of a player who left all": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "v", "a", e), opLeaveAll("u", "a", e), opAdd("x", "w", "a", e), opAdd("z", "u", "a", e)}
		}, []byte{changed, changed, changed, changed}},
		"more than those": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opAdd("x", "v", "a", e), opLeaveAll("u", "a", e), opAdd("x", "w", "a", e), opAdd("z", "u", "a", e), opAdd("z", "v", "a", e)}
		}, []byte{aborted, aborted, aborted, aborted, limit}},
		"all places and no more": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opKind(fsmpb.OpKind_OP_DESTROY_ALL), opAdd("x", "u", "a", e), opAdd("y", "u", "a", e), opAdd("z", "u", "a", e)}
		}, []byte{aborted, aborted, aborted, limit}},
		"all places": {func(e uint64) []*fsmpb.Op {
			return []*fsmpb.Op{opKind(fsmpb.OpKind_OP_DESTROY_ALL), opAdd("1", "u", "a", e), opAdd("2", "u", "a", e), opAdd("2", "v", "a", e)}
		}, []byte{changed, changed, changed, changed}},
	} {
		t.Run(name, func(t *testing.T) {
			w := limitedTo(t, settings)
			e := w.epoch("a")
			wantResults(t, w.do("a", opAdd("x", "u", "a", e), opAdd("y", "u", "a", e)), changed, changed)
			before := w.s.Stats()
			wantResults(t, w.group("a", tc.ops(e)...), tc.want...)
			if bytes.IndexByte(tc.want, limit) >= 0 && w.s.Stats() != before {
				t.Errorf("a refused group has changed the state: %+v, was %+v", w.s.Stats(), before)
			}
		})
	}
}

// What is there already stays, and may come again.
func TestState_LimitsRemoveNothing(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.epoch("a")
	wantResults(t, w.do("a", opAdd("x", "u", "a", a), opAdd("y", "u", "a", a)), fsm.OpChanged, fsm.OpChanged)
	w.limit(&fsmpb.Settings{MaxMembers: 1, MaxChannels: 1, MaxServers: 1})
	wantResults(t, w.do("a", opAdd("x", "u", "a", a), opAdd("y", "v", "a", a)), fsm.OpUnchanged, fsm.OpLimit)
	wantResults(t, w.group("a", opAdd("x", "u", "a", a), opAdd("y", "u", "a", a)), fsm.OpUnchanged, fsm.OpUnchanged)
	wantResults(t, w.do("a", opLeave("x", "u", "a", a), opAdd("x", "u", "a", a)), fsm.OpChanged, fsm.OpLimit)
	w.wantMembers("y", "u@a")
	w.limit(&fsmpb.Settings{})
	wantResults(t, w.do("a", opAdd("x", "u", "a", a)), fsm.OpChanged)
}

func TestState_LimitsServersThatAreUp(t *testing.T) {
	w := limitedTo(t, &fsmpb.Settings{MaxServers: 2})
	outcome := func(up *fsmpb.ServerUp) fsm.UpOutcome {
		t.Helper()
		return w.apply(entryUp(up)).Up.Outcome
	}
	if got := outcome(upOf("c", "inc-c")); got != fsm.UpLimit {
		t.Errorf("a third server: outcome %d, want the limit", got)
	}
	if got := outcome(attachedOf("c", "inc-c", "a", w.epoch("a"))); got != fsm.UpLimit {
		t.Errorf("a third, attached: outcome %d, want the limit", got)
	}
	w.up(upOf("b", "inc-2")) // in the place of the one that is up
	b := w.epoch("b")
	w.apply(entryDown("b", b))
	w.up(upOf("c", "inc-c"))
	if got := outcome(upOf("b", "inc-3")); got != fsm.UpLimit {
		t.Errorf("a new process where its sid was: outcome %d, want the limit", got)
	}
	w.up(resuming(upOf("b", "inc-2"), b)) // the process that was up before
}

// An older binary would halt.
func TestEncodeEntry_LimitsNeedTheirLevel(t *testing.T) {
	for _, s := range []*fsmpb.Settings{{MaxMembers: 1}, {MaxChannels: 1}, {MaxServers: 1}} {
		e := entrySettings("id", 1, s)
		if got := fsm.EntryLevel(e); got != 4 {
			t.Errorf("%v is of level %d, want 4", s, got)
		}
		if data, err := fsm.EncodeEntry(3, e); err == nil {
			t.Errorf("%v at level 3: %x", s, data)
		}
		if _, err := fsm.EncodeEntry(4, e); err != nil {
			t.Errorf("%v at level 4: %v", s, err)
		}
	}
}
