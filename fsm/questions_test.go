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
		Count: map[string]int{}, CountBySID: map[[2]string]int{}, Contains: map[[2]string]bool{}, ChannelsOf: map[string][]string{},
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
	for k := range seen {
		a.Count[k.name]++
		a.CountBySID[[2]string{k.name, k.sid}]++
		a.Contains[[2]string{k.name, k.uid}] = true
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
		}
		if k.uid != uid {
			continue
		}
		p := fsm.Place{SID: k.sid, Session: session, Added: m.added[[2]string{k.sid, uid}]}
		if l := m.life(k.sid); l != nil {
			p.Server, p.Known, p.Parked = l.server(), true, !l.up
		}
		e.Places = append(e.Places, p)
	}
	slices.SortFunc(e.Places, func(a, b fsm.Place) int { return cmp.Compare(a.SID, b.SID) })
	return e
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
