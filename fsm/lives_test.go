package fsm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func (w *world) wantUp(up *fsmpb.ServerUp, want fsm.UpOutcome) fsm.UpResult {
	w.t.Helper()
	r := w.apply(entryUp(up)).Up
	if r.Outcome != want {
		w.t.Errorf("up %s %s: outcome %d, want %d", up.GetSid(), up.GetIncarnation(), r.Outcome, want)
	}
	return r
}

func (w *world) wantLife(sid string, up bool) {
	w.t.Helper()
	if srv, ok := w.s.Server(sid); !ok || srv.Up != up {
		w.t.Errorf("server %s: recorded %v, up %v, want up %v", sid, ok, srv.Up, up)
	}
}

func TestState_FirstFoundWins(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{MaxVoters: 3})
	if r := w.apply(entryFound("other", &fsmpb.Settings{MaxVoters: 7})); r.Changed {
		t.Error("a second Found took effect")
	}
	if got := w.s.ClusterID(); got != "cluster" {
		t.Errorf("cluster id %q, want the first one", got)
	}
	got := w.s.Settings()
	if diff := cmp.Diff(&fsmpb.Settings{MaxVoters: 3}, got, protocmp.Transform()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	got.MaxVoters = 9
	if w.s.Settings().GetMaxVoters() != 3 {
		t.Error("Settings handed out the state's own")
	}
}

func TestState_FoundNeedsAnIDAndAGeneration(t *testing.T) {
	for _, f := range []*fsmpb.Found{
		{ClusterId: "", Generation: 1}, {ClusterId: "c"}, {ClusterId: "c", Generation: 1 << 16}, {ClusterId: "c\x00", Generation: 1},
	} {
		s := fsm.NewState()
		r := s.Apply(1, entry(&fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: f}}))
		if r.Err != nil || r.Changed || s.ClusterID() != "" {
			t.Errorf("Found %v: changed %v, cluster %q, error %v", f, r.Changed, s.ClusterID(), r.Err)
		}
	}
}

func TestState_FoundKeepsItsOwnSettings(t *testing.T) {
	settings := &fsmpb.Settings{MaxVoters: 3}
	w := newWorldWith(t, settings)
	settings.MaxVoters = 5
	if got := w.s.Settings().GetMaxVoters(); got != 3 {
		t.Errorf("the entry's settings changed the state's: %d voters", got)
	}
}

func TestState_EpochIsGenerationAndIndex(t *testing.T) {
	w := newWorld(t)
	if got, want := w.up(upOf("a", "i")), uint64(1)<<48|2; got != want {
		t.Errorf("epoch %x, want %x", got, want)
	}
}

func TestState_ServerUpRecordsTheLife(t *testing.T) {
	w := newWorld(t)
	up := upOf("a", "i")
	up.Zone = "z"
	r := w.wantUp(up, fsm.UpNew)
	want := fsm.Server{SID: "a", SType: "connector", Zone: "z", NodeID: "node-a", Incarnation: "i", Addr: "a:1", Epoch: gen(2), Up: true, Changed: 2}
	if diff := cmp.Diff(want, r.Server); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	got, _ := w.s.Server("a")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestState_RepeatedServerUpIsTheSameLife(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a", opAdd("x", "u", "a", e))
	late := upOf("a", "inc-a")
	late.Seen = 0 // older than the record, as the repeat of a first try is
	if r := w.wantUp(late, fsm.UpSame); r.Server.Epoch != e || r.Server.Changed != 2 {
		t.Errorf("epoch %x changed at %d, want %x unchanged since 2", r.Server.Epoch, r.Server.Changed, e)
	}
	w.wantMembers("x", "u@a")
}

func TestState_NewLifeStartsEmpty(t *testing.T) {
	w := newWorld(t, "a", "b")
	ea, eb := w.epoch("a"), w.epoch("b")
	w.do("a", opAdd("x", "u", "a", ea), opAdd("x", "v", "b", eb), opAdd("y", "u", "a", ea))
	w.up(upOf("a", "inc-2"))
	w.wantMembers("x", "v@b")
	w.wantMembers("y")
	if got, want := w.s.Stats(), (fsm.Stats{Channels: 1, Memberships: 1, Servers: 2}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if got := w.s.Changed("x"); got != 5 {
		t.Errorf("x changed at %d, want 5, where its members went", got)
	}
}

func TestState_ServerUpOlderThanTheRecordIsSuperseded(t *testing.T) {
	w := newWorld(t, "a")
	up := upOf("a", "inc-2")
	up.Seen = 1 // the record is of index 2
	if r := w.wantUp(up, fsm.UpSuperseded); r.Server.Incarnation != "inc-a" {
		t.Errorf("result shows %q, want the life that is up", r.Server.Incarnation)
	}
	// It stays superseded when the other life has ended meanwhile.
	w.apply(entryDown("a", w.epoch("a")))
	w.wantUp(up, fsm.UpSuperseded)
	w.wantLife("a", false)
	up.Seen = 2 // below the end, though not below the beginning
	w.wantUp(up, fsm.UpSuperseded)
	up.Seen = 4
	w.wantUp(up, fsm.UpNew)
}

func TestState_ServerUpOfAnotherNodeNeedsTheEndOfTheOldLife(t *testing.T) {
	w := newWorld(t, "a")
	up := upOf("a", "inc-2")
	up.NodeId = "node-other"
	w.wantUp(up, fsm.UpInUse)
	up.Ends = w.epoch("a") - 1
	w.wantUp(up, fsm.UpInUse)
	up.Ends = w.epoch("a")
	w.wantUp(up, fsm.UpNew)
}

func TestState_ServerUpOfAnotherNodeAfterTheEndNeedsNoProof(t *testing.T) {
	w := newWorld(t, "a")
	w.apply(entryDown("a", w.epoch("a")))
	up := upOf("a", "inc-2")
	up.NodeId = "node-other"
	w.wantUp(up, fsm.UpNew)
}

func TestState_EndedIncarnationComesBackAsANewLife(t *testing.T) {
	w := newWorld(t, "a", "b")
	old := w.epoch("a")
	w.do("b", opAdd("x", "u", "a", old))
	w.apply(entryDown("a", old))
	if e := w.up(upOf("a", "inc-a")); e == old {
		t.Error("the ended life came back under its old epoch")
	}
	w.wantMembers("x")
}

func TestState_ServerUpWithBadStringsIsInvalid(t *testing.T) {
	for name, spoil := range map[string]func(*fsmpb.ServerUp){
		"no sid":          func(up *fsmpb.ServerUp) { up.Sid = "" },
		"long sid":        func(up *fsmpb.ServerUp) { up.Sid = strings.Repeat("s", 65) },
		"no type":         func(up *fsmpb.ServerUp) { up.Stype = "" },
		"NUL in the type": func(up *fsmpb.ServerUp) { up.Stype = "a\x00" },
		"zone not UTF-8":  func(up *fsmpb.ServerUp) { up.Zone = "\xff" },
		"no node":         func(up *fsmpb.ServerUp) { up.NodeId = "" },
		"no incarnation":  func(up *fsmpb.ServerUp) { up.Incarnation = "" },
		"long address":    func(up *fsmpb.ServerUp) { up.Addr = strings.Repeat("a", 256) },
		"via itself":      func(up *fsmpb.ServerUp) { up.Via, up.ViaEpoch = up.Sid, 1 },
		"via no life":     func(up *fsmpb.ServerUp) { up.Via = "b" },
		"no via":          func(up *fsmpb.ServerUp) { up.ViaEpoch = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			before := w.s.Servers()
			up := upOf("a", "inc-2")
			spoil(up)
			w.wantUp(up, fsm.UpInvalid)
			if diff := cmp.Diff(before, w.s.Servers()); diff != "" {
				t.Errorf("servers changed:\n%s", diff)
			}
		})
	}
}

func TestState_ServerDownEndsOnlyTheLifeItNames(t *testing.T) {
	w := newWorld(t, "a", "b")
	e := w.epoch("a")
	w.do("b", opAdd("x", "u", "a", e), opAdd("x", "v", "b", w.epoch("b")))
	for _, wrong := range []uint64{0, e - 1, e + 1} {
		if r := w.apply(entryDown("a", wrong)); r.Changed {
			t.Errorf("ServerDown of epoch %x ended %x", wrong, e)
		}
	}
	if w.apply(entryDown("nobody", e)).Changed {
		t.Error("ServerDown of nobody had an effect")
	}
	w.wantMembers("x", "u@a", "v@b")
	if r := w.apply(entryDown("a", e)); !r.Changed {
		t.Error("ServerDown of the life that is up had no effect")
	}
	w.wantMembers("x", "v@b")
	w.wantLife("a", false)
	if w.apply(entryDown("a", e)).Changed {
		t.Error("ServerDown ended a life twice")
	}
}

// A proposer was paused, the server restarted meanwhile.
func TestState_LateServerDownSparesTheNewLife(t *testing.T) {
	w := newWorld(t, "a")
	old := w.epoch("a")
	w.up(upOf("a", "inc-2"))
	w.apply(entryDown("a", old))
	w.wantLife("a", true)
}

func TestState_AttachedLivesEndWithTheirAgent(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"down":     func(w *world) { w.apply(entryDown("agent", w.epoch("agent"))) },
		"replaced": func(w *world) { w.up(upOf("agent", "inc-2")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "agent", "other")
			e := w.up(attachedOf("front", "i", "agent", w.epoch("agent")))
			stay := w.up(attachedOf("stay", "i", "other", w.epoch("other")))
			w.do("other", opAdd("x", "u", "front", e), opAdd("x", "u", "stay", stay))
			end(w)
			w.wantLife("front", false)
			w.wantLife("stay", true)
			w.wantMembers("x", "u@stay")
			if srv, _ := w.s.Server("front"); srv.Changed != w.next-1 {
				t.Errorf("front ended at %d, want %d, where its agent ended", srv.Changed, w.next-1)
			}
		})
	}
}

// An agent with attached frontends attaches itself: the chain ends as one.
func TestState_ChainOfAttachedLivesEndsTogether(t *testing.T) {
	for range 20 { // the order in which a map gives them must not matter
		w := newWorld(t, "a", "b")
		w.up(attachedOf("front", "i", "b", w.epoch("b")))
		w.wantUp(attachedOf("b", "inc-b", "a", w.epoch("a")), fsm.UpSame)
		w.apply(entryDown("a", w.epoch("a")))
		w.wantLife("b", false)
		w.wantLife("front", false)
	}
}

func TestState_AttachedLifeNeedsItsAgentUp(t *testing.T) {
	w := newWorld(t, "agent")
	e := w.epoch("agent")
	w.wantUp(attachedOf("front", "i", "nobody", 1), fsm.UpSuperseded)
	w.wantUp(attachedOf("front", "i", "agent", e-1), fsm.UpSuperseded)
	w.apply(entryDown("agent", e))
	w.wantUp(attachedOf("front", "i", "agent", e), fsm.UpSuperseded)
	if _, ok := w.s.Server("front"); ok {
		t.Error("a refused registration left a record")
	}
}

func TestState_AgentIsNotAttachedItself(t *testing.T) {
	w := newWorld(t, "agent")
	e := w.up(attachedOf("front", "i", "agent", w.epoch("agent")))
	w.wantUp(attachedOf("second", "i", "front", e), fsm.UpInvalid)
	// The new life would end the agent it attaches to.
	up := attachedOf("agent", "inc-2", "front", e)
	up.NodeId = "node-agent"
	w.wantUp(up, fsm.UpInvalid)
	w.wantLife("agent", true)
	w.wantLife("front", true)
}

func TestState_AttachedLifeMovesToAnotherAgent(t *testing.T) {
	w := newWorld(t, "one", "two")
	first := attachedOf("front", "i", "one", w.epoch("one"))
	first.Seen = w.next - 1
	e := w.up(first)
	w.do("one", opAdd("x", "u", "front", e))
	move := attachedOf("front", "i", "two", w.epoch("two"))
	move.Addr, move.Seen = "two:1", w.next-1
	r := w.wantUp(move, fsm.UpSame)
	if r.Server.Via != "two" || r.Server.Addr != "two:1" || r.Server.Epoch != e || r.Server.Changed != w.next-1 {
		t.Errorf("moved record %+v", r.Server)
	}
	w.wantMembers("x", "u@front")
	// A late repeat of the first registration must not move it back.
	if r := w.wantUp(first, fsm.UpSame); r.Server.Via != "two" {
		t.Errorf("a late repeat moved the life back to %q", r.Server.Via)
	}
	w.apply(entryDown("one", w.epoch("one")))
	w.wantLife("front", true)
	w.apply(entryDown("two", w.epoch("two")))
	w.wantLife("front", false)
}

func TestState_LateGoodbyeOfTheOldAgentSparesTheMovedLife(t *testing.T) {
	w := newWorld(t, "one", "two")
	first := attachedOf("front", "i", "one", w.epoch("one"))
	first.Seen = w.next - 1
	e := w.up(first)
	move := attachedOf("front", "i", "two", w.epoch("two"))
	move.Seen = w.next - 1
	w.wantUp(move, fsm.UpSame)
	w.apply(entryDetach("front", e, w.epoch("one")))
	w.wantLife("front", true)
	w.apply(entryDetach("front", e, w.epoch("two")))
	w.wantLife("front", false)
}

func TestState_AttachedLifeDoesNotMoveToADeadAgent(t *testing.T) {
	w := newWorld(t, "one", "two")
	w.up(attachedOf("front", "i", "one", w.epoch("one")))
	w.apply(entryDown("two", w.epoch("two")))
	r := w.wantUp(attachedOf("front", "i", "two", w.epoch("two")), fsm.UpSuperseded)
	if r.Server.Via != "one" || !r.Server.Up {
		t.Errorf("refused move left %+v", r.Server)
	}
}

func TestState_ApplyKeepsNothingOfItsEntry(t *testing.T) {
	w := newWorld(t, "a")
	e := entryBatches(batch("a", w.epoch("a"), 1, opAdd("x", "u", "a", w.epoch("a"))))
	w.apply(e)
	before := snapshotOf(t, w.s)
	proto.Reset(e.GetBatches().GetBatches()[0].GetGroups()[0].GetOps()[0])
	if string(before) != string(snapshotOf(t, w.s)) {
		t.Error("the state changed with the entry")
	}
}
