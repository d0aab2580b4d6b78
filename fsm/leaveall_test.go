package fsm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func TestState_LeaveAllTakesOnePlayerOutOfOneServer(t *testing.T) {
	w := newWorld(t, "a", "b")
	ea, eb := w.epoch("a"), w.epoch("b")
	w.do("a", opAdd("x", "u", "a", ea), opAdd("y", "u", "a", ea), opAdd("x", "v", "a", ea), opAdd("x", "u", "b", eb))
	wantResults(t, w.do("b", opLeaveAll("u", "a", ea), opLeaveAll("u", "a", ea)), fsm.OpChanged, fsm.OpUnchanged)
	w.wantMembers("x", "v@a", "u@b")
	w.wantMembers("y")
	if got, at := w.s.Changed("x"), w.s.Index(); got != at {
		t.Errorf("x changed at %d, want %d", got, at)
	}
}

// From a player in nothing over one in a few channels to a bot that is in many.
func TestState_LeaveAllTakesHoweverManyChannels(t *testing.T) {
	for channels := range 12 {
		w := newWorld(t, "a")
		e := w.epoch("a")
		want := byte(fsm.OpUnchanged)
		for i := range channels {
			w.do("a", opAdd(fmt.Sprint(i), "bot", "a", e), opAdd(fmt.Sprint(i), "u", "a", e))
			want = fsm.OpChanged
		}
		for i := 0; i < channels; i += 3 {
			w.do("a", opLeave(fmt.Sprint(i), "u", "a", e)) // some ways back are gone already
		}
		wantResults(t, w.do("a", opLeaveAll("bot", "a", e)), want)
		if got, want := w.s.Stats().Memberships, channels-(channels+2)/3; got != want {
			t.Errorf("%d channels: %d memberships are left, want %d", channels, got, want)
		}
	}
}

func TestState_LeaveAllOfAnOlderSessionSparesTheNewer(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	for i := range 8 {
		w.do("a", session(opAdd(fmt.Sprint(i), "u", "a", e), uint64(i)))
	}
	all := func(n uint64) *fsmpb.Op { return session(opLeaveAll("u", "a", e), n) }
	wantResults(t, w.do("a", all(3)), fsm.OpChanged)
	wantResults(t, w.do("a", all(3)), fsm.OpUnchanged)
	for i := range 8 {
		if i <= 3 {
			w.wantMembers(fmt.Sprint(i))
		} else {
			w.wantMembers(fmt.Sprint(i), "u@a")
		}
	}
	wantResults(t, w.do("a", all(0)), fsm.OpChanged)
	if got := w.s.Stats(); got != (fsm.Stats{Servers: 1}) {
		t.Errorf("stats %+v, want one server and no more", got)
	}
}

func TestState_LeaveAllMeansOneLife(t *testing.T) {
	w := newWorld(t, "a", "b")
	old := w.epoch("a")
	wantResults(t, w.do("b", opLeaveAll("u", "a", 0), opLeaveAll("u", "nobody", 7)), fsm.OpUnchanged, fsm.OpUnchanged)
	now := w.up(upOf("a", "inc-2"))
	w.do("b", opAdd("x", "u", "a", now))
	wantResults(t, w.do("b", opLeaveAll("u", "a", old), opLeaveAll("u", "a", 0), opLeaveAll("v", "a", old)),
		fsm.OpServerGone, fsm.OpServerGone, fsm.OpUnchanged)
	w.wantMembers("x", "u@a")
	// A session that would spare all of them does not make the life right.
	newer := session(opAdd("x", "u", "a", now), 9)
	wantResults(t, w.do("b", newer, session(opLeaveAll("u", "a", old), 1)), fsm.OpChanged, fsm.OpServerGone)
}

func TestState_LeaveAllOfExternalSIDsMustHaveBeenSeen(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{ExternalSids: true}, "a")
	w.do("a", opAdd("x", "u", "outside", 0))
	fsm.SetForgotten(w.s, 3)
	at := func(seen uint64) []byte {
		e := w.epoch("a")
		b := batch("a", e, w.number(e), opLeaveAll("u", "outside", 0))
		b.Groups[0].Seen = seen
		return w.send(b)
	}
	wantResults(t, at(2), fsm.OpServerGone)
	wantResults(t, at(3), fsm.OpChanged)
	wantResults(t, at(2), fsm.OpUnchanged)
}

func TestState_LeaveAllNamesNoChannel(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a", opAdd("x", "u", "a", e))
	named := opLeaveAll("u", "a", e)
	named.Name = "x"
	for _, op := range []*fsmpb.Op{named, opLeaveAll("", "a", e), opLeaveAll("u", "", e), opLeaveAll("u", strings.Repeat("s", 65), e)} {
		wantResults(t, w.do("a", op), fsm.OpInvalid)
	}
	w.wantMembers("x", "u@a")
}

// Binaries that write version 1 refuse it, and so must those that replay it.
func TestState_LeaveAllOfVersion1IsUnsupported(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a", opAdd("x", "u", "a", e))
	old := entryBatches(batch("a", e, 2, opLeaveAll("u", "a", e), opLeaveAll("nobody", "a", e)))
	old.Version = 1
	wantResults(t, w.apply(old).Batches[0].Results, fsm.OpUnsupported, fsm.OpUnsupported)
	w.wantMembers("x", "u@a")
}
