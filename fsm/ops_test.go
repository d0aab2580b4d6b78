package fsm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func TestState_AddAndLeaveAreIdempotent(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	wantResults(t, w.do("a", opAdd("x", "u", "a", e)), fsm.OpChanged)
	wantResults(t, w.do("a", opAdd("x", "u", "a", e)), fsm.OpUnchanged)
	if got := w.s.Changed("x"); got != 3 {
		t.Errorf("x changed at %d, want 3: the second Add changed nothing", got)
	}
	wantResults(t, w.do("a", opLeave("x", "u", "a", e)), fsm.OpChanged)
	wantResults(t, w.do("a", opLeave("x", "u", "a", e)), fsm.OpUnchanged)
}

func TestState_AddForUnknownServerIsRefused(t *testing.T) {
	w := newWorld(t, "a")
	wantResults(t, w.do("a", opAdd("x", "u", "swapped", 0), opAdd("x", "u", "swapped", w.epoch("a"))),
		fsm.OpUnknownServer, fsm.OpUnknownServer)
}

func TestState_AddForAnotherLifeIsServerGone(t *testing.T) {
	w := newWorld(t, "a", "b")
	old := w.epoch("a")
	now := w.up(upOf("a", "inc-2"))
	wantResults(t, w.do("b", opAdd("x", "u", "a", old), opAdd("x", "u", "a", 0), opAdd("x", "u", "a", now+1), opAdd("x", "u", "a", now)),
		fsm.OpServerGone, fsm.OpServerGone, fsm.OpServerGone, fsm.OpChanged)
	w.apply(entryDown("a", now))
	wantResults(t, w.do("b", opAdd("x", "u", "a", now)), fsm.OpServerGone)
	w.wantMembers("x")
}

func TestState_AddForEarlierLifeOfTheSameIncarnationIsDone(t *testing.T) {
	w := newWorld(t, "a", "b")
	other := w.epoch("a")
	one := w.up(upOf("a", "inc-2"))
	w.apply(entryDown("a", one))
	two := w.up(upOf("a", "inc-2"))
	w.apply(entryDown("a", two))
	three := w.up(upOf("a", "inc-2"))
	wantResults(t, w.do("b", opAdd("x", "u", "a", other), opAdd("x", "u", "a", one), opAdd("x", "v", "a", two), opAdd("x", "w", "a", three)),
		fsm.OpServerGone, fsm.OpChanged, fsm.OpChanged, fsm.OpChanged)
	// The row survives a snapshot, and ends with another incarnation.
	w.s = restored(t, snapshotOf(t, w.s))
	wantResults(t, w.do("b", opLeave("x", "u", "a", one)), fsm.OpChanged)
	w.up(upOf("a", "inc-3"))
	w.up(upOf("a", "inc-2"))
	wantResults(t, w.do("b", opAdd("x", "u", "a", three)), fsm.OpServerGone)
}

func TestState_LeaveOfAnotherLifeSparesTheMember(t *testing.T) {
	w := newWorld(t, "a", "b")
	old := w.epoch("a")
	now := w.up(upOf("a", "inc-2"))
	w.do("b", opAdd("x", "u", "a", now))
	wantResults(t, w.do("b", opLeave("x", "u", "a", old), opLeave("x", "u", "a", 0)), fsm.OpServerGone, fsm.OpServerGone)
	w.wantMembers("x", "u@a")
}

func TestState_LeaveOfTheAbsentSucceedsWhateverLifeIsMeant(t *testing.T) {
	w := newWorld(t, "a", "b")
	old := w.epoch("a")
	w.apply(entryDown("a", old))
	wantResults(t, w.do("b", opLeave("x", "u", "a", old), opLeave("x", "u", "a", 0), opLeave("x", "u", "nobody", 0)),
		fsm.OpUnchanged, fsm.OpUnchanged, fsm.OpUnchanged)
}

func TestState_SessionOnlyRises(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	add := func(n uint64) *fsmpb.Op { return session(opAdd("x", "u", "a", e), n) }
	wantResults(t, w.do("a", add(5), add(5), add(3), add(0), add(7)),
		fsm.OpChanged, fsm.OpUnchanged, fsm.OpUnchanged, fsm.OpUnchanged, fsm.OpChanged)
	want := []fsm.Member{{UID: "u", SID: "a", Session: 7}}
	if diff := cmp.Diff(want, w.s.Members("x").Members()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestState_LeaveOfAnOlderSessionSparesTheNewer(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	leave := func(n uint64) *fsmpb.Op { return session(opLeave("x", "u", "a", e), n) }
	w.do("a", session(opAdd("x", "u", "a", e), 5))
	wantResults(t, w.do("a", leave(4)), fsm.OpUnchanged)
	w.wantMembers("x", "u@a")
	wantResults(t, w.do("a", leave(5)), fsm.OpChanged)
	w.do("a", session(opAdd("x", "u", "a", e), 5))
	wantResults(t, w.do("a", leave(6)), fsm.OpChanged)
	w.do("a", session(opAdd("x", "u", "a", e), 5))
	wantResults(t, w.do("a", leave(0)), fsm.OpChanged)
	w.wantMembers("x")
}

func TestState_ExternalSIDsAreAcceptedIfSeen(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{ExternalSids: true}, "a")
	fsm.SetForgotten(w.s, 3)
	at := func(seen uint64, op *fsmpb.Op) []byte {
		e := w.epoch("a")
		b := batch("a", e, w.number(e), op)
		b.Groups[0].Seen = seen
		return w.send(b)
	}
	wantResults(t, at(2, opAdd("x", "u", "outside", 0)), fsm.OpServerGone)
	wantResults(t, at(3, opAdd("x", "u", "outside", 0)), fsm.OpChanged)
	w.wantMembers("x", "u@outside")
	if got := w.s.MembersByType("x", "connector").UIDs(); len(got) != 0 {
		t.Errorf("members by type %v, want none: an external sid has no type", got)
	}
	wantResults(t, at(2, opLeave("x", "u", "outside", 0)), fsm.OpServerGone)
	wantResults(t, at(3, opLeave("x", "u", "outside", 0)), fsm.OpChanged)
	// An ended life is no external sid.
	w.apply(entryDown("a", w.epoch("a")))
	w.up(upOf("b", "i"))
	wantResults(t, w.do("b", opAdd("x", "u", "a", 0)), fsm.OpServerGone)
}

func TestState_RegistrationOfAnExternalSIDDropsItsMembers(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{ExternalSids: true}, "a")
	w.do("a", opAdd("x", "u", "outside", 0))
	w.up(upOf("outside", "i"))
	w.wantMembers("x")
}

func TestState_DestroyRemovesTheChannelOnAllServers(t *testing.T) {
	w := newWorld(t, "a", "b")
	ea, eb := w.epoch("a"), w.epoch("b")
	w.do("a", opAdd("x", "u", "a", ea), opAdd("x", "u", "b", eb), opAdd("y", "u", "a", ea))
	wantResults(t, w.do("a", opDestroy("x"), opDestroy("x")), fsm.OpChanged, fsm.OpUnchanged)
	w.wantMembers("x")
	w.wantMembers("y", "u@a")
	if got := w.s.Changed("x"); got != 0 {
		t.Errorf("an ended channel changed at %d, want 0", got)
	}
}

func TestState_DestroyAllEmptiesEverything(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.do("a", opAdd("x", "u", "a", w.epoch("a")), opAdd("y", "u", "b", w.epoch("b")))
	all := opKind(fsmpb.OpKind_OP_DESTROY_ALL)
	wantResults(t, w.do("a", all, all), fsm.OpChanged, fsm.OpUnchanged)
	if got, want := w.s.Stats(), (fsm.Stats{Servers: 2}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestState_CleanOnStartUpOnlyWhenAlone(t *testing.T) {
	clean := opKind(fsmpb.OpKind_OP_CLEAN_ON_START_UP)
	w := newWorld(t, "a", "b")
	w.up(attachedOf("front", "i", "a", w.epoch("a")))
	w.do("a", opAdd("x", "u", "a", w.epoch("a")), opAdd("x", "u", "front", w.epoch("front")))
	wantResults(t, w.do("a", clean), fsm.OpUnchanged)
	w.wantMembers("x", "u@a", "u@front")
	w.apply(entryDown("b", w.epoch("b")))
	// Its own attached frontend is no other server.
	wantResults(t, w.do("a", clean, clean), fsm.OpChanged, fsm.OpUnchanged)
	w.wantMembers("x")
}

func TestState_ChannelExistsWhileItHasMembers(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	for i, want := range []struct {
		op       *fsmpb.Op
		channels int
	}{{opAdd("x", "u", "a", e), 1}, {opAdd("x", "v", "a", e), 1}, {opLeave("x", "u", "a", e), 1}, {opLeave("x", "v", "a", e), 0}} {
		w.do("a", want.op)
		if got := w.s.Stats().Channels; got != want.channels {
			t.Errorf("after step %d: %d channels, want %d", i, got, want.channels)
		}
	}
}

func TestState_ReadsOfNothingAreEmpty(t *testing.T) {
	w := newWorld(t, "a")
	if n := len(w.s.Members("x").Members()) + len(w.s.MembersBySID("x", "a").UIDs()) + len(w.s.MembersByType("x", "connector").UIDs()) + len(w.s.Targets("x", "connector", nil)); n != 0 {
		t.Errorf("%d members of no channel", n)
	}
	w.do("a", opAdd("x", "u", "a", w.epoch("a")))
	if n := len(w.s.MembersBySID("x", "b").UIDs()) + len(w.s.MembersByType("x", "chat").UIDs()) + len(w.s.Targets("x", "chat", nil)); n != 0 {
		t.Errorf("%d members of no server, no type", n)
	}
}

func TestState_MembersByTypeHasEachUIDOnce(t *testing.T) {
	w := newWorld(t, "a", "b")
	chat := upOf("c", "i")
	chat.Stype = "chat"
	w.up(chat)
	w.do("a", opAdd("x", "u", "a", w.epoch("a")), opAdd("x", "u", "b", w.epoch("b")), opAdd("x", "v", "b", w.epoch("b")), opAdd("x", "w", "c", w.epoch("c")))
	if diff := cmp.Diff([]string{"u", "v"}, sorted(w.s.MembersByType("x", "connector").UIDs())); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	got := w.s.Targets("x", "connector", nil)
	for i := range got {
		got[i].Read()
	}
	if len(got) != 2 || got[0].Server.SID != "a" || got[1].Server.SID != "b" || len(got[1].UIDs) != 2 {
		t.Errorf("targets %+v, want a with one and b with two", got)
	}
}
