package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// questions are those of questions.go and explain.go, about every name there is.
type questions struct {
	Count    map[string]int
	BySID    map[[2]string]int   // name, sid
	Contains map[[2]string]bool  // name, uid
	Channels map[string][]string // of a uid
	SIDs     map[string][]string // of a uid
	Of       map[[2]string][]fsm.Member
	Explain  map[[2]string]fsm.Explanation
	Names    map[string][]string // by prefix, after and limit
}

func newQuestions() questions {
	return questions{
		Count: map[string]int{}, BySID: map[[2]string]int{}, Contains: map[[2]string]bool{}, Channels: map[string][]string{},
		SIDs: map[string][]string{}, Of: map[[2]string][]fsm.Member{}, Explain: map[[2]string]fsm.Explanation{}, Names: map[string][]string{},
	}
}

// pages are questions for the names of channels.
var pages = []struct {
	prefix, after string
	limit         int
}{{"", "", 9}, {"", "", 2}, {"", "2", 9}, {"", "1", 1}, {"x", "", 9}, {"x", "x", 9}, {"y", "x", 9}, {"x", "y", 9}, {"z", "", 9}, {"", "", 0}}

func askedOf(s *fsm.State) questions {
	q := newQuestions()
	for _, uid := range someUIDs {
		q.Channels[uid], q.SIDs[uid] = sorted(s.ChannelsOf(uid)), sorted(s.SIDsOf(uid))
	}
	for _, name := range someNames {
		q.Count[name] = s.Count(name)
		for _, sid := range someSIDs {
			q.BySID[[2]string{name, sid}] = s.CountBySID(name, sid)
		}
		for _, uid := range someUIDs {
			k := [2]string{name, uid}
			q.Contains[k], q.Of[k], q.Explain[k] = s.Contains(name, uid), sortMembers(s.MembersOf(name, uid)), s.Explain(name, uid)
		}
	}
	for _, p := range pages {
		q.Names[fmt.Sprint(p)] = append([]string{}, s.Channels(p.prefix, p.after, p.limit)...)
	}
	return q
}

func (m *model) asked() questions {
	q, seen := newQuestions(), m.seen()
	visible := func(name, uid, sid string) (n int) {
		for k := range seen {
			if (name == "" || k.name == name) && (uid == "" || k.uid == uid) && (sid == "" || k.sid == sid) {
				n++
			}
		}
		return n
	}
	names := slices.Sorted(slices.Values(someNames))
	for _, uid := range someUIDs {
		q.Channels[uid], q.SIDs[uid] = []string{}, []string{}
		for _, name := range names {
			if visible(name, uid, "") > 0 {
				q.Channels[uid] = append(q.Channels[uid], name)
			}
		}
		for _, sid := range someSIDs {
			if visible("", uid, sid) > 0 {
				q.SIDs[uid] = append(q.SIDs[uid], sid)
			}
		}
	}
	for _, name := range names {
		q.Count[name] = visible(name, "", "")
		for _, sid := range someSIDs {
			q.BySID[[2]string{name, sid}] = visible(name, "", sid)
		}
		for _, uid := range someUIDs {
			k := [2]string{name, uid}
			q.Contains[k], q.Of[k], q.Explain[k] = visible(name, uid, "") > 0, nil, m.explain(name, uid)
			for o, session := range seen {
				if o.name == name && o.uid == uid {
					q.Of[k] = sortMembers(append(q.Of[k], fsm.Member{UID: uid, SID: o.sid, Session: session}))
				}
			}
		}
	}
	for _, p := range pages {
		page := []string{}
		for _, name := range names {
			if name > p.after && strings.HasPrefix(name, p.prefix) && visible(name, "", "") > 0 && len(page) < p.limit {
				page = append(page, name)
			}
		}
		q.Names[fmt.Sprint(p)] = page
	}
	return q
}

func (m *model) explain(name, uid string) (e fsm.Explanation) {
	for k := range m.members {
		if k.name != name {
			continue
		}
		e.Exists, e.Changed = true, m.changed[name]
		if l := m.life(k.sid); l != nil && !l.up {
			e.Parked++
		} else {
			e.Members++
		}
	}
	for _, sid := range someSIDs {
		if m.on(sid, uid) == 0 {
			continue
		}
		stand := fsm.Stand{SID: sid, Added: m.added[[2]string{sid, uid}]}
		if l := m.life(sid); l != nil {
			stand.Server, stand.Known, stand.Parked = l.server(), true, !l.up
		}
		session, in := m.members[modelMember{name, sid, uid}]
		if stand.Session = session; in {
			e.In = append(e.In, stand)
		} else {
			e.Elsewhere = append(e.Elsewhere, stand)
		}
	}
	return e
}

func TestState_ExplainsWhoIsParkedAndWhoIsElsewhere(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.apply(entryRaise(fsm.Version))
	a, b := w.epoch("a"), w.epoch("b")
	w.do("a", session(opAdd("room", "alice", "a", a), 7), opAdd("room", "bob", "a", a), opAdd("hall", "carol", "a", a))
	added := w.s.Index()
	w.do("b", opAdd("room", "alice", "b", b))
	changed := w.s.Index()
	w.apply(entryDown("a", a))

	got := w.s.Explain("room", "alice")
	recordA, _ := w.s.Server("a")
	recordB, _ := w.s.Server("b")
	want := fsm.Explanation{Exists: true, Changed: changed, Members: 1, Parked: 2, In: []fsm.Stand{
		{SID: "a", Server: recordA, Known: true, Parked: true, Session: 7, Added: added},
		{SID: "b", Server: recordB, Known: true, Added: changed},
	}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("alice (-want +got):\n%s", diff)
	}
	want.In, want.Elsewhere = nil, []fsm.Stand{{SID: "a", Server: recordA, Known: true, Parked: true, Added: added}}
	if diff := gocmp.Diff(want, w.s.Explain("room", "carol")); diff != "" {
		t.Errorf("carol (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(fsm.Explanation{}, w.s.Explain("none", "nobody")); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}
	if n, onA := w.s.Count("room"), w.s.CountBySID("room", "a"); n != 1 || onA != 0 || w.s.Contains("room", "bob") || w.s.SIDsOf("carol") != nil {
		t.Errorf("%d members, %d of them on a: parked ones are seen", n, onA)
	}
}

func TestState_CountAndContainsAllocateNothing(t *testing.T) {
	w := newWorld(t, "a")
	w.do("a", opAdd("room", "alice", "a", w.epoch("a")))
	for what, ask := range map[string]func() bool{
		"Count":      func() bool { return w.s.Count("room") == 1 },
		"CountBySID": func() bool { return w.s.CountBySID("room", "a") == 1 },
		"Contains":   func() bool { return w.s.Contains("room", "alice") && !w.s.Contains("room", "bob") },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if !ask() {
				t.Error(what, "answers wrong")
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
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
		if len(w.s.SIDsOf(uid))+len(w.s.ChannelsOf(uid)) > 0 || e.Exists || len(e.In)+len(e.Elsewhere) > 0 {
			t.Fatalf("%s is on %v in %v; explained by %+v", uid, w.s.SIDsOf(uid), w.s.ChannelsOf(uid), e)
		}
	}
}
