package fsm_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// parked is a world in which the life of a, with u in x and y, and v in x, is over.
func parked(t *testing.T) (w *world, old uint64) {
	t.Helper()
	w = newWorld(t, "a", "b")
	old = w.epoch("a")
	w.do("a", opAdd("x", "u", "a", old), opAdd("y", "u", "a", old), opAdd("x", "v", "a", old))
	w.do("b", opAdd("x", "w", "b", w.epoch("b")))
	w.apply(entryDown("a", old))
	return w, old
}

func (w *world) wantStats(want fsm.Stats) {
	w.t.Helper()
	if got := w.s.Stats(); got != want {
		w.t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestState_EndedLifeIsOutOfEveryRead(t *testing.T) {
	w, _ := parked(t)
	w.wantMembers("x", "w@b")
	w.wantMembers("y")
	w.wantStats(fsm.Stats{Channels: 1, Memberships: 1, Parked: 3, Servers: 1})
	if got := w.s.MembersBySID("x", "a").UIDs(); len(got) != 0 {
		t.Errorf("members by sid %v", got)
	}
	if got := w.s.PlayersOn("a").UIDs(); len(got) != 0 {
		t.Errorf("players %v", got)
	}
	if got := w.s.Targets("x", "connector", nil); len(got) != 1 || got[0].Server.SID != "b" {
		t.Errorf("targets %v, want those on b", got)
	}
}

// Replicas that applied the older entries purged, and their snapshots say so.
func TestState_EndOfVersion2Purges(t *testing.T) {
	w := newWorldOf(t, 2, nil, "a")
	w.do("a", opAdd("x", "u", "a", w.epoch("a")))
	w.apply(entryDown("a", w.epoch("a")))
	w.wantStats(fsm.Stats{})
	if data := snapshotOf(t, w.s); data[11] != 1 {
		t.Errorf("snapshot of version %d, want 1: not everybody reads more", data[11])
	}
}

func TestState_SameProcessComesBackWithItsMembersInOneEntry(t *testing.T) {
	w, old := parked(t)
	r := w.wantUp(resuming(upOf("a", "inc-a"), 0), fsm.UpNew)
	w.wantMembers("x", "u@a", "v@a", "w@b")
	w.wantMembers("y", "u@a")
	want := &fsmpb.Predecessor{Epoch: old, LastNumber: 1, Restored: 3, Kept: []*fsmpb.BatchRecord{{Number: 1, Index: 4, Results: []byte{2, 2, 2}}}}
	if diff := cmp.Diff(want, r.Predecessor, protocmp.Transform()); diff != "" {
		t.Errorf("predecessor (-want +got):\n%s", diff)
	}
	// Who means the life before means the same process.
	wantResults(t, w.do("b", opLeave("x", "v", "a", old), opAdd("y", "v", "a", old)), fsm.OpChanged, fsm.OpChanged)
	w.wantMembers("y", "u@a", "v@a")
}

func TestState_AnotherProcessDropsWhatIsParked(t *testing.T) {
	w, old := parked(t)
	r := w.wantUp(resuming(upOf("a", "inc-2"), 0), fsm.UpNew)
	if r.Predecessor != nil {
		t.Errorf("predecessor %v of another process", r.Predecessor)
	}
	w.wantStats(fsm.Stats{Channels: 1, Memberships: 1, Servers: 2})
	wantResults(t, w.do("b", opAdd("x", "u", "a", old)), fsm.OpServerGone)
}

func TestState_SameProcessThatResumesNothingStartsEmpty(t *testing.T) {
	w, _ := parked(t)
	r := w.wantUp(upOf("a", "inc-a"), fsm.UpNew)
	if p := r.Predecessor; p.GetRestored() != 0 || p.GetMissed() != 3 {
		t.Errorf("restored %d, missed %d, want 0 and 3", p.GetRestored(), p.GetMissed())
	}
	w.wantStats(fsm.Stats{Channels: 1, Memberships: 1, Servers: 2})
}

// Re-adding from the client's side brought back whom others had removed meanwhile.
func TestState_RemovedWhileParkedDoesNotComeBack(t *testing.T) {
	for name, tc := range map[string]struct {
		op     *fsmpb.Op
		result fsm.OpResult
		missed uint64
		x, y   []string
	}{
		"leave":           {opLeave("x", "u", "a", 0), fsm.OpChanged, 1, []string{"v@a", "w@b"}, []string{"u@a"}},
		"leave all":       {opLeaveAll("u", "a", 0), fsm.OpChanged, 2, []string{"v@a", "w@b"}, nil},
		"destroy":         {opDestroy("x"), fsm.OpChanged, 2, nil, []string{"u@a"}},
		"destroy all":     {opKind(fsmpb.OpKind_OP_DESTROY_ALL), fsm.OpChanged, 3, nil, nil},
		"clean on start":  {opKind(fsmpb.OpKind_OP_CLEAN_ON_START_UP), fsm.OpChanged, 3, nil, nil},
		"leave of nobody": {opLeave("x", "nobody", "a", 0), fsm.OpUnchanged, 0, []string{"u@a", "v@a", "w@b"}, []string{"u@a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, old := parked(t)
			if tc.op.GetSid() != "" {
				tc.op.Epoch = old
			}
			wantResults(t, w.do("b", tc.op), tc.result)
			r := w.wantUp(resuming(upOf("a", "inc-a"), 0), fsm.UpNew)
			if got := r.Predecessor.GetMissed(); got != tc.missed {
				t.Errorf("missed %d, want %d", got, tc.missed)
			}
			w.wantMembers("x", tc.x...)
			w.wantMembers("y", tc.y...)
		})
	}
}

func TestState_ParkedLifeTakesNobodyIn(t *testing.T) {
	w, old := parked(t)
	wantResults(t, w.do("b", opAdd("x", "new", "a", old), opAdd("x", "u", "a", old), opLeave("x", "u", "a", old-1)),
		fsm.OpServerGone, fsm.OpServerGone, fsm.OpServerGone)
}

// What the process meant to remove and was never told about does not come back,
// unless it was applied: then an Add may have come behind it.
func TestState_UnansweredRemovalsCountOnlyIfTheyWereNotApplied(t *testing.T) {
	w := newWorld(t, "a", "b")
	e := w.epoch("a")
	w.do("a", opAdd("x", "u", "a", e), opAdd("y", "u", "a", e), opAdd("x", "v", "a", e), opAdd("x", "v", "b", w.epoch("b"))) // 1
	w.do("a", opLeave("x", "u", "a", e), opAdd("x", "u", "a", e))                                                            // 2
	w.apply(entryDown("a", e))
	r := w.wantUp(resuming(upOf("a", "inc-a"), e,
		removals(2, opLeave("x", "u", "a", e)),      // applied, answered or not
		removals(3, opLeave("x", "v", "a", e)),      // never applied: fenced for good
		removals(4, opLeave("y", "nobody", "a", e)), // nor this
		removals(0, opLeaveAll("v", "b", e)),        // of another sid: not ours to say
	), fsm.UpNew)
	w.wantMembers("x", "u@a", "v@b")
	w.wantMembers("y", "u@a")
	if p := r.Predecessor; p.GetRestored() != 2 || p.GetMissed() != 1 {
		t.Errorf("restored %d, missed %d, want 2 and 1", p.GetRestored(), p.GetMissed())
	}
	late := w.apply(entryBatches(batch("a", e, 3, opLeave("y", "u", "a", e)))).Batches[0]
	if late.Outcome != fsm.BatchForgotten {
		t.Errorf("batch of the life before: outcome %d, want that it has no effect", late.Outcome)
	}
}

// A removal spares what a newer session of the player holds, as it always does.
func TestState_UnansweredRemovalsSpareNewerSessions(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	w.do("a", session(opAdd("x", "u", "a", e), 2), session(opAdd("y", "u", "a", e), 1))
	w.apply(entryDown("a", e))
	w.up(resuming(upOf("a", "inc-a"), e, removals(0, session(opLeaveAll("u", "a", e), 1))))
	w.wantMembers("x", "u@a")
	w.wantMembers("y")
}

// The answer to the registration before was lost, and that life is over too: what
// the process had not been told then was dealt with then.
func TestState_RemovalsOfALifeBeforeTheLastAreNotDoneAgain(t *testing.T) {
	w, old := parked(t)
	up := resuming(upOf("a", "inc-a"), old, removals(2, opLeave("x", "u", "a", old)))
	middle := w.up(up)
	w.do("b", opAdd("x", "u", "a", middle)) // somebody takes her in again
	w.apply(entryDown("a", middle))
	w.up(up)
	w.wantMembers("x", "u@a", "v@a", "w@b")
}

// A Leave that means a life of another process is refused; as a removal too.
func TestState_ResumeRemovesOnlyMembersOfThisProcess(t *testing.T) {
	w := newWorld(t, "a")
	past := w.epoch("a")
	old := w.up(upOf("a", "inc-2"))
	w.do("a", opAdd("x", "u", "a", old))
	w.apply(entryDown("a", old))
	w.up(resuming(upOf("a", "inc-2"), old, removals(3, opLeave("x", "u", "a", past))))
	w.wantMembers("x", "u@a")
}

// What ended below level 3 was purged, and nobody counted what.
func TestState_MembersPurgedBeforeTheLevelRoseAreUncounted(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorldOf(t, 2, nil, "a")
		old := w.epoch("a")
		w.do("a", opAdd("x", "u", "a", old))
		w.apply(entryDown("a", old))
		if restart {
			w.s = restored(t, snapshotOf(t, w.s))
		}
		w.version = 0
		w.apply(entryRaise(3))
		if restart {
			w.s = restored(t, snapshotOf(t, w.s))
		}
		r := w.wantUp(resuming(upOf("a", "inc-a"), old), fsm.UpNew)
		if !r.Predecessor.GetUncounted() {
			t.Errorf("restart %v: predecessor %v", restart, r.Predecessor)
		}
	}
}

func TestState_LifeThatMovesToAnotherAgentIsOfItsNode(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.up(attachedOf("front", "f", "a", w.epoch("a")))
	w.wantUp(attachedOf("front", "f", "b", w.epoch("b")), fsm.UpSame)
	// Where it was, another process needs a proof that it is over.
	w.wantUp(attachedOf("front", "other", "a", w.epoch("a")), fsm.UpInUse)
}

func TestState_LostAnswerOfARegistrationComesAgainAfterOthersLoggedIn(t *testing.T) {
	w, _ := parked(t)
	up := resuming(upOf("a", "inc-a"), 0)
	up.Seen = w.next - 1
	first := w.wantUp(up, fsm.UpNew)
	w.do("b", opAdd("x", "late", "a", first.Server.Epoch), opLeave("y", "u", "a", first.Server.Epoch))
	again := w.wantUp(up, fsm.UpSame)
	if diff := cmp.Diff(first.Predecessor, again.Predecessor, protocmp.Transform()); diff != "" || again.Server.Epoch != first.Server.Epoch {
		t.Errorf("answer of the second sending: epoch %x, predecessor (-want +got):\n%s", again.Server.Epoch, diff)
	}
	w.wantMembers("x", "late@a", "u@a", "v@a", "w@b")
	w.wantMembers("y")
	// The answer outlives a restart of the replica.
	back := restored(t, snapshotOf(t, w.s))
	r := back.Apply(w.next, entryUp(up)).Up
	if diff := cmp.Diff(first.Predecessor, r.Predecessor, protocmp.Transform()); diff != "" {
		t.Errorf("after a restore (-want +got):\n%s", diff)
	}
}

func TestState_RegistrationOfADeadProcessAfterItsSuccessorIsSuperseded(t *testing.T) {
	w, _ := parked(t)
	dead := resuming(upOf("a", "inc-a"), 0)
	dead.Seen = w.next - 1
	w.up(upOf("a", "inc-2"))
	w.wantUp(dead, fsm.UpSuperseded)
	// Nor does it help that the successor is gone, and then forgotten.
	w.apply(entryDown("a", w.epoch("a")))
	w.wantUp(dead, fsm.UpSuperseded)
	w.apply(entryForget(w.next - 1))
	w.wantUp(dead, fsm.UpSuperseded)
	dead.Seen = w.next - 1
	w.wantUp(dead, fsm.UpNew)
}

func TestState_ForgetDropsWhatEndedUpToThere(t *testing.T) {
	w, old := parked(t)
	ended := w.next - 1
	w.apply(entryForget(ended - 1)) // before the end of a
	w.wantLife("a", false)
	if !w.apply(entryForget(ended)).Changed || w.s.Forgotten() != ended {
		t.Errorf("forgotten up to %d, want %d", w.s.Forgotten(), ended)
	}
	if _, known := w.s.Server("a"); known {
		t.Error("a is still known")
	}
	w.wantLife("b", true)
	w.wantStats(fsm.Stats{Channels: 1, Memberships: 1, Servers: 1})
	if w.apply(entryForget(ended)).Changed {
		t.Error("to forget again took effect")
	}
	// A batch of it finds nobody who could tell what became of it.
	if got := w.apply(entryBatches(batch("a", old, 2))).Batches[0].Outcome; got != fsm.BatchForgotten {
		t.Errorf("batch of a forgotten life: outcome %d", got)
	}
	wantResults(t, w.do("b", opAdd("x", "u", "a", old), opLeave("x", "u", "a", old)), fsm.OpUnknownServer, fsm.OpUnchanged)
	w.apply(entryForget(1 << 40))
	if w.s.Forgotten() >= w.next {
		t.Errorf("forgotten up to %d, beyond the log", w.s.Forgotten())
	}
	w.wantLife("b", true)
}

func TestState_ExternalAddMustHaveSeenWhatWasForgotten(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{ExternalSids: true}, "a", "b")
	w.apply(entryDown("a", w.epoch("a")))
	w.apply(entryForget(w.next - 1))
	send := func(seen uint64) []byte {
		b := batch("b", w.epoch("b"), w.number(w.epoch("b")), opAdd("x", "u", "a", 0))
		b.Groups[0].Seen = seen
		return w.send(b)
	}
	wantResults(t, send(w.s.Forgotten()-1), fsm.OpServerGone)
	wantResults(t, send(w.s.Forgotten()), fsm.OpChanged)
}

func TestState_EndOfAnAgentParksThoseAttached(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.up(attachedOf("front", "f", "a", w.epoch("a")))
	w.do("a", opAdd("x", "u", "front", w.epoch("front")))
	w.apply(entryDown("a", w.epoch("a")))
	w.wantLife("front", false)
	w.wantMembers("x")
	// It comes back through another agent.
	r := w.wantUp(resuming(attachedOf("front", "f", "b", w.epoch("b")), 0), fsm.UpNew)
	if r.Predecessor.GetRestored() != 1 {
		t.Errorf("restored %d, want 1", r.Predecessor.GetRestored())
	}
	w.wantMembers("x", "u@front")
}

func TestState_PruneSparesWhoWasAddedSinceTheQuestion(t *testing.T) {
	w := newWorld(t, "a")
	e := w.epoch("a")
	prune := func(uid string, seen uint64) []byte {
		b := batch("a", e, w.number(e), &fsmpb.Op{Kind: fsmpb.OpKind_OP_PRUNE, Uid: uid, Sid: "a", Epoch: e})
		b.Groups[0].Seen = seen
		return w.send(b)
	}
	w.do("a", opAdd("x", "u", "a", e), opAdd("y", "u", "a", e), session(opAdd("x", "v", "a", e), 7))
	asked := w.next - 1
	w.do("a", opAdd("x", "u", "a", e)) // there already, but it says that u is back
	wantResults(t, prune("u", asked), fsm.OpUnchanged)
	wantResults(t, prune("v", asked), fsm.OpChanged)
	wantResults(t, prune("nobody", asked), fsm.OpUnchanged)
	w.wantMembers("x", "u@a")
	w = &world{t: t, s: restored(t, snapshotOf(t, w.s)), next: w.next, sent: w.sent}
	wantResults(t, prune("u", asked), fsm.OpUnchanged)
	wantResults(t, prune("u", w.next-1), fsm.OpChanged)
	w.wantStats(fsm.Stats{Servers: 1})
	wantResults(t, w.group("a", &fsmpb.Op{Kind: fsmpb.OpKind_OP_PRUNE, Uid: "u", Sid: "a", Epoch: e}, opAdd("x", "z", "a", e)),
		fsm.OpUnsupported, fsm.OpAborted)
}

func TestState_PurgeIsForExternalServers(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{ExternalSids: true}, "a")
	w.do("a", opAdd("x", "u", "outside", 0), opAdd("y", "u", "outside", 0), opAdd("x", "u", "a", w.epoch("a")))
	purge := func(sid string) *fsmpb.Op { return &fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: sid} }
	wantResults(t, w.do("a", purge("outside"), purge("outside"), purge("a"), purge("")),
		fsm.OpChanged, fsm.OpUnchanged, fsm.OpInvalid, fsm.OpInvalid)
	w.wantMembers("x", "u@a")
	w.wantMembers("y")
}

func TestState_SettingsChangeOncePerWish(t *testing.T) {
	w := newWorldWith(t, &fsmpb.Settings{MaxVoters: 3})
	seen := w.next - 1
	set := func(id string, voters uint32) bool {
		return w.apply(entrySettings(id, seen, &fsmpb.Settings{MaxVoters: voters})).Changed
	}
	for range 2 {
		if !set("first", 5) {
			t.Error("a wish, or its repetition, was not fulfilled")
		}
	}
	if set("second", 7) || w.s.Settings().GetMaxVoters() != 5 {
		t.Errorf("%d voters: a wish from before the last change took effect", w.s.Settings().GetMaxVoters())
	}
	seen = w.s.SettingsIndex()
	if !set("third", 7) || w.s.Settings().GetMaxVoters() != 7 {
		t.Errorf("%d voters, want 7", w.s.Settings().GetMaxVoters())
	}
}

func TestState_LevelNeverFalls(t *testing.T) {
	w := newWorldOf(t, 2, nil)
	if got := w.s.Level(); got != 2 {
		t.Errorf("level %d at first, want 2", got)
	}
	w.version = 3
	if r := w.apply(entryRaise(3)); !r.Changed || w.s.Level() != 3 {
		t.Errorf("changed %v, level %d, want 3", r.Changed, w.s.Level())
	}
	if r := w.apply(entryRaise(2)); r.Changed || w.s.Level() != 3 {
		t.Errorf("changed %v, level %d, want 3 still", r.Changed, w.s.Level())
	}
	if back := restored(t, snapshotOf(t, w.s)); back.Level() != 3 {
		t.Errorf("level %d after a restore", back.Level())
	}
}

// The bytes are a format, as those of version 1 are.
func TestSnapshot_BytesOfVersion2StayAsTheyAre(t *testing.T) {
	const want = "c499030dccd6bfb71a900aff19ae710e6a10f9d0836b5bb98fd502b10e7b518f"
	w := fullStateOf(t, 3)
	w.apply(entryDown("b", w.epoch("b")))
	w.up(resuming(upOf("b", "inc-b"), 0))
	w.apply(entrySettings("wish", w.next, &fsmpb.Settings{MaxVoters: 5}))
	sum, err := w.s.WriteSnapshot(new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if sum != want {
		t.Errorf("checksum %s, want %s", sum, want)
	}
}
