package fsm_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// answers are those to every question about the few names, uids and sids of the model.
type answers struct {
	Count      map[string]int
	CountBySID map[[2]string]int
	Contains   map[[2]string]bool
	MembersOf  map[[2]string][]fsm.Member
	ChannelsOf map[string][]string
	SIDsOf     map[string][]string
	Where      map[string][]fsm.Stay
	Channels   map[string][]string
	Explained  map[[2]string]fsm.Explanation
}

// listings are prefix, after and limit.
var listings = []struct {
	prefix, after string
	limit         int
}{{"", "", 100}, {"", "", 1}, {"", "2", 2}, {"x", "", 3}, {"y", "x", 1}, {"1", "2", 5}}

func newAnswers() answers {
	return answers{
		Count: map[string]int{}, CountBySID: map[[2]string]int{}, Contains: map[[2]string]bool{}, MembersOf: map[[2]string][]fsm.Member{}, ChannelsOf: map[string][]string{},
		SIDsOf: map[string][]string{}, Where: map[string][]fsm.Stay{}, Channels: map[string][]string{}, Explained: map[[2]string]fsm.Explanation{},
	}
}

func answersOf(s *fsm.State) answers {
	a := newAnswers()
	for _, name := range someNames {
		a.Count[name] = s.Count(name)
		for _, sid := range someSIDs {
			a.CountBySID[[2]string{name, sid}] = s.CountBySID(name, sid)
		}
		for _, uid := range someUIDs {
			a.Contains[[2]string{name, uid}] = s.Contains(name, uid)
			if of := sortMembers(s.MembersOf(name, uid)); len(of) > 0 {
				a.MembersOf[[2]string{name, uid}] = of
			}
			a.Explained[[2]string{name, uid}] = s.Explain(name, uid)
		}
	}
	for _, uid := range someUIDs {
		a.ChannelsOf[uid], a.SIDsOf[uid], a.Where[uid] = sorted(s.ChannelsOf(uid)), sorted(s.SIDsOf(uid)), s.Where(uid)
	}
	for _, l := range listings {
		a.Channels[fmt.Sprint(l)] = s.Channels(l.prefix, l.after, l.limit)
	}
	return a
}

// answers looks at every membership for every question.
func (m *model) answers() answers {
	a := newAnswers()
	seen := m.seen()
	names := map[string]bool{}
	for k := range seen {
		names[k.name] = true
	}
	for _, name := range someNames {
		for _, sid := range someSIDs {
			a.CountBySID[[2]string{name, sid}] = 0
		}
		a.Count[name] = 0
		for _, uid := range someUIDs {
			a.Contains[[2]string{name, uid}] = false
			a.Explained[[2]string{name, uid}] = m.explain(name, uid, seen)
		}
	}
	for k, session := range seen {
		a.Count[k.name]++
		a.CountBySID[[2]string{k.name, k.sid}]++
		a.Contains[[2]string{k.name, k.uid}] = true
		of := [2]string{k.name, k.uid}
		a.MembersOf[of] = sortMembers(append(a.MembersOf[of], fsm.Member{UID: k.uid, SID: k.sid, Session: session}))
	}
	for _, uid := range someUIDs {
		channels, sids := map[string]bool{}, map[string]bool{}
		for k := range seen {
			if k.uid == uid {
				channels[k.name], sids[k.sid] = true, true
			}
		}
		a.ChannelsOf[uid], a.SIDsOf[uid] = sorted(slices.Collect(maps.Keys(channels))), sorted(slices.Collect(maps.Keys(sids)))
		a.Where[uid] = m.where(uid, "", seen)
	}
	for _, l := range listings {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if len(list) < l.limit && name > l.after && len(name) >= len(l.prefix) && name[:len(l.prefix)] == l.prefix {
				list = append(list, name)
			}
		}
		a.Channels[fmt.Sprint(l)] = list
	}
	return a
}

// where leaves one channel out.
func (m *model) where(uid, but string, seen map[modelMember]uint64) (stays []fsm.Stay) {
	for _, sid := range slices.Sorted(slices.Values(someSIDs)) {
		stay := fsm.Stay{SID: sid}
		for k := range seen {
			if k.uid == uid && k.sid == sid && k.name != but {
				stay.Channels = append(stay.Channels, k.name)
			}
		}
		if slices.Sort(stay.Channels); len(stay.Channels) > 0 {
			stays = append(stays, stay)
		}
	}
	return stays
}

func (m *model) explain(name, uid string, seen map[modelMember]uint64) fsm.Explanation {
	e := fsm.Explanation{Elsewhere: m.where(uid, name, seen)}
	if e.Elsewhere == nil && m.where(uid, "", seen) != nil {
		e.Elsewhere = []fsm.Stay{}
	}
	for k, session := range m.members {
		if k.name != name {
			continue
		}
		e.Exists, e.Changed = true, m.changed[name]
		if _, shown := seen[k]; shown {
			e.Members++
		} else {
			e.Parked++
		}
		if k.uid != uid {
			continue
		}
		p := m.place(k.sid, uid)
		p.Session = session
		e.Places = append(e.Places, p)
	}
	for _, sid := range slices.Sorted(slices.Values(someSIDs)) {
		parked := false
		for k := range m.members {
			_, shown := seen[k]
			parked = parked || k.sid == sid && k.uid == uid && k.name != name && !shown
		}
		if parked {
			e.Hidden = append(e.Hidden, m.place(sid, uid))
		}
	}
	slices.SortFunc(e.Places, func(a, b fsm.Place) int { return cmp.Compare(a.SID, b.SID) })
	return e
}

func (m *model) place(sid, uid string) fsm.Place {
	p := fsm.Place{SID: sid, Added: m.added[[2]string{sid, uid}]}
	if l := m.life(sid); l != nil {
		p.Server, p.Known, p.Parked = l.server(), true, !l.up
	}
	return p
}

func TestState_CountAndContainsDoNotAllocate(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d", "e", "f")
	for _, sid := range []string{"a", "b", "c", "d", "e", "f"} {
		var ops []*fsmpb.Op
		for i := range 100 {
			ops = append(ops, opAdd("x", fmt.Sprint("u", i), sid, w.epoch(sid)))
		}
		w.do("a", ops...)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if w.s.Count("x") != 600 || !w.s.Contains("x", "u7") || w.s.Contains("x", "nobody") {
			t.Fatal("wrong answer")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// Texts are found by a guess first, and the guess is wrong now and then among so many.
func TestState_ContainsTellsManyTextsApart(t *testing.T) {
	w := newWorld(t, "a")
	const many = 3000
	in := func(i int) bool { return i%2 == 0 }
	var ops []*fsmpb.Op
	for i := range many {
		if in(i) {
			ops = append(ops, opAdd("world", fmt.Sprint("u", i), "a", w.epoch("a")), opAdd(fmt.Sprint("room", i), "u0", "a", w.epoch("a")))
		}
	}
	w.do("a", ops...)
	for i := range many {
		if got := w.s.Contains("world", fmt.Sprint("u", i)); got != in(i) {
			t.Errorf("player %d in the world: %v", i, got)
		}
		if got := w.s.Contains(fmt.Sprint("room", i), "u0"); got != in(i) {
			t.Errorf("u0 in room %d: %v", i, got)
		}
	}
}

// What was looked ahead at before all was destroyed is not found any more, however alike
// the new texts are: those of the same shards, as many as before.
func TestState_WhatWasFoundBeforeAllWasDestroyedIsNot(t *testing.T) {
	for i := range 1000 {
		w := newWorld(t, "a")
		e, x, y := w.epoch("a"), fmt.Sprint("x", i), fmt.Sprint("y", 7*i)
		w.do("a", opAdd("c", x, "a", e))
		w.do("a", opKind(fsmpb.OpKind_OP_DESTROY_ALL), opAdd("d", y, "a", e), opAdd("d", x, "a", e))
		if n := w.s.Count("d"); n != 2 || !w.s.Contains("d", x) || !w.s.Contains("d", y) {
			t.Fatalf("%s and %s were added to d, which has %d members", x, y, n)
		}
		if err := fsm.CheckIndexes(w.s); err != nil {
			t.Fatal(err)
		}
	}
}

// However many channels a player is in, on one server and on two.
func TestState_ContainsOfPlayersInManyChannels(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.apply(entryRaise(fsm.Version))
	a, b := w.epoch("a"), w.epoch("b")
	for _, n := range []int{1, 2, 100, 200, 1500} {
		uid := fmt.Sprint("u", n)
		var ops []*fsmpb.Op
		for i := range n {
			ops = append(ops, opAdd(fmt.Sprint("c", i), uid, "a", a))
		}
		w.do("a", append(ops, opAdd("c0", "other", "a", a), opAdd("c2000", "other", "a", a), opAdd("c2", uid, "b", b))...)
		w.do("a", opLeave("c0", uid, "a", a))
		for i := range n {
			if got := w.s.Contains(fmt.Sprint("c", i), uid); got != (i > 0) {
				t.Errorf("%s in c%d: %v", uid, i, got)
			}
		}
		if w.s.Contains("c2000", uid) || !w.s.Contains("c2", uid) {
			t.Errorf("%s is in c2000, or not in c2", uid)
		}
	}
	w.apply(entryDown("a", a))
	if w.s.Contains("c1", "u1500") || w.s.Contains("c1", "u2") || !w.s.Contains("c2", "u1500") || !w.s.Contains("c2", "u2") {
		t.Error("players of a server that is down are in c1, or those of another one are not in c2")
	}
}

func TestState_QuestionsDoNotSeeWhoIsParked(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.apply(entryRaise(fsm.Version))
	a, b := w.epoch("a"), w.epoch("b")
	w.do("a", session(opAdd("room", "alice", "a", a), 7), opAdd("room", "bob", "a", a), opAdd("hall", "carol", "a", a))
	w.do("b", opAdd("room", "alice", "b", b))
	w.apply(entryDown("a", a))
	if n, onA := w.s.Count("room"), w.s.CountBySID("room", "a"); n != 1 || onA != 0 || w.s.Contains("room", "bob") || w.s.Contains("hall", "carol") {
		t.Errorf("%d members in room, %d of them on a, which is down", n, onA)
	}
	if of, sids := w.s.MembersOf("room", "alice"), w.s.SIDsOf("alice"); len(of) != 1 || of[0].SID != "b" || !slices.Equal(sids, []string{"b"}) {
		t.Errorf("alice is on %v, in room as %+v", sids, of)
	}
	if e := w.s.Explain("room", "carol"); e.Members != 1 || e.Parked != 2 || len(e.Places) > 0 || len(e.Hidden) != 1 || e.Hidden[0].Server.Epoch != a {
		t.Errorf("carol: %+v", e)
	}
	if names := w.s.Channels("", "", 9); !slices.Equal(names, []string{"room"}) || len(w.s.ChannelsOf("carol"))+len(w.s.Where("carol")) > 0 {
		t.Errorf("channels %q, of carol %q", names, w.s.ChannelsOf("carol"))
	}
}

// What is left of a large channel is cleared away only bit by bit.
func TestState_QuestionsDoNotSeeWhatIsDestroyed(t *testing.T) {
	w := newWorld(t, "a")
	const members = 10_000
	for batch := range members / 1000 {
		var ops []*fsmpb.Op
		for i := range 1000 {
			ops = append(ops, opAdd("room", fmt.Sprint("uid-", batch*1000+i), "a", w.epoch("a")))
		}
		w.group("a", ops...)
	}
	w.do("a", opDestroy("room"))
	for i := range members {
		uid := fmt.Sprint("uid-", i)
		e := w.s.Explain("room", uid)
		if n := len(w.s.SIDsOf(uid)) + len(w.s.ChannelsOf(uid)) + len(w.s.Where(uid)) + len(w.s.MembersOf("room", uid)); n > 0 || e.Exists || len(e.Places)+len(e.Elsewhere) > 0 {
			t.Fatalf("%s is on %v in %v; explained by %+v", uid, w.s.SIDsOf(uid), w.s.ChannelsOf(uid), e)
		}
	}
}
