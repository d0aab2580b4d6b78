package fsm_test

import (
	"bytes"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func TestState_RecoverEndsAllLivesAndRaisesTheGeneration(t *testing.T) {
	w := newWorldOf(t, fsm.Version, &fsmpb.Settings{MaxVoters: 7}, "c1", "c2")
	old := w.epoch("c1")
	attached := w.up(attachedOf("f1", "inc-f1", "c1", old))
	w.apply(entryRaise(fsm.Version))
	w.do("c1", opAdd("room", "alice", "c1", old), opAdd("room", "bob", "f1", attached))
	if err := w.s.Recover(w.s.Index()); err == nil {
		t.Error("an index that was there already was taken")
	}
	const index = 1 << 32
	if err := w.s.Recover(index); err != nil {
		t.Fatal(err)
	}
	w.next = index + 1
	if w.s.Generation() != 2 || w.s.Index() != index || w.s.ClusterID() != "cluster" || w.s.Settings().GetMaxVoters() != 7 {
		t.Errorf("generation %d at %d of %s, settings %v", w.s.Generation(), w.s.Index(), w.s.ClusterID(), w.s.Settings())
	}
	for _, sid := range []string{"c1", "c2", "f1"} {
		w.wantLife(sid, false)
	}
	w.wantMembers("room")
	if err := fsm.CheckIndexes(w.s); err != nil {
		t.Error(err)
	}
	// What is written of it is read back.
	again, err := fsm.ReadSnapshot(bytes.NewReader(snapshotOf(t, w.s)))
	if err != nil {
		t.Fatal(err)
	}
	w.s = again
	// Lives are above all old ones, whatever index those had. A process that has gone on,
	// which only an attached frontend can, has its members again; another one has not.
	agent := w.up(upOf("c1", "another"))
	if agent != 2<<48|(index+1) || agent <= attached {
		t.Errorf("epoch %#x after %#x", agent, attached)
	}
	w.wantMembers("room")
	w.up(resuming(attachedOf("f1", "inc-f1", "c1", agent), 0))
	w.wantMembers("room", "bob@f1")
}

func TestState_RecoverNeedsAClusterAndAGeneration(t *testing.T) {
	if err := fsm.NewState().Recover(100); err == nil {
		t.Error("a state without a cluster was recovered")
	}
	s := fsm.NewState()
	s.Apply(1, entry(&fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: "c", Generation: 1<<16 - 1}}}))
	if err := s.Recover(100); err == nil || s.Generation() != 1<<16-1 {
		t.Errorf("generation %d after the last one: %v", s.Generation(), err)
	}
}
