package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// watch is a tally and the clock that it is read by.
type watch struct {
	tally *tally
	now   time.Time
	last  uint64
	seen  map[string]*sighting
}

func newWatch(ids ...string) *watch {
	w := &watch{tally: newTally("leader"), now: time.Unix(1e9, 0), last: 1000, seen: map[string]*sighting{}}
	w.tally.removeAfter = time.Hour
	for _, id := range ids {
		w.seen[id] = &sighting{Server: Server{NodeID: id, Voter: true}}
	}
	return w
}

// good makes an answer of now that is as it should be, and a sign of life from Raft.
func (w *watch) good(ids ...string) {
	for _, id := range ids {
		w.seen[id].contact = w.now
		w.seen[id].answer = Answer{NodeID: id, MayLead: true, Durable: true, LastIndex: w.last, LastTerm: 7, At: w.now}
	}
}

func (w *watch) look() map[string]standing {
	var all []sighting
	for _, s := range w.seen {
		all = append(all, *s)
	}
	out := map[string]standing{}
	for _, s := range w.tally.look(w.now, w.last, 7, all) {
		out[s.NodeID] = s
	}
	return out
}

// pass lets seconds go by, with a look at the end of each. each may be nil.
func (w *watch) pass(seconds int, each func()) (now map[string]standing) {
	for range seconds {
		w.now = w.now.Add(time.Second)
		w.last += 5000 // a busy leader
		if each != nil {
			each()
		}
		now = w.look()
	}
	return now
}

func which(standings map[string]standing, is func(standing) bool) (ids []string) {
	for id, s := range standings {
		if is(s) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func ready(s standing) bool { return s.ready }

func TestTally_OnlyWhoIsCaughtUpAgainAndAgainIsReady(t *testing.T) {
	w := newWatch("good", "behind", "old term", "unfit", "no raft", "hiccup", "silent")
	second := 0
	answer := func() {
		second++
		w.good("good", "behind", "old term", "unfit", "no raft", "hiccup")
		w.seen["behind"].answer.LastIndex = w.last - 5000 - CaughtUp - 1
		w.seen["good"].answer.LastIndex = w.last - 5000 // as far as the leader was when it last looked
		w.seen["old term"].answer.LastTerm = 6
		w.seen["unfit"].answer.MayLead = false
		w.seen["no raft"].contact = time.Time{}
		if second == 3 {
			w.seen["hiccup"].answer.LastIndex = 1
		}
	}
	w.look() // from here on it knows how far the leader was
	if got := which(w.pass(2, answer), ready); got != nil {
		t.Errorf("after two answers: %v", got)
	}
	if diff := cmp.Diff([]string{"good"}, which(w.pass(1, answer), ready)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"good"}, which(w.pass(2, answer), ready)); diff != "" {
		t.Errorf("two after the hiccup: %s", diff)
	}
	if diff := cmp.Diff([]string{"good", "hiccup"}, which(w.pass(1, answer), ready)); diff != "" {
		t.Error(diff)
	}
	if got := which(w.pass(4, nil), ready); got != nil {
		t.Errorf("silent for four seconds, and ready: %v", got)
	}
}

func TestTally_AnOldAnswerCountsOnce(t *testing.T) {
	w := newWatch("a")
	w.good("a")
	w.look()
	w.look()
	if got := which(w.look(), ready); got != nil {
		t.Errorf("three looks at one answer: %v", got)
	}
}

func TestTally_LostAndGoneAreCountedFromTheLastSign(t *testing.T) {
	w := newWatch("leader", "crashed", "gossip only", "answers only", "replaced", "replaced, alive")
	all := []string{"crashed", "gossip only", "answers only", "replaced", "replaced, alive"}
	w.pass(3, func() { w.good(all...) })
	each := func() {
		w.seen["gossip only"].gossiped = true
		w.seen["answers only"].answer.At = w.now
		w.seen["replaced"].replaced, w.seen["replaced"].gossiped = true, true
		w.good("replaced, alive")
		w.seen["replaced, alive"].replaced = true
	}
	lost, gone := func(s standing) bool { return s.lost }, func(s standing) bool { return s.gone }
	now := w.pass(5, each)
	if got := which(now, gone); got != nil {
		t.Errorf("gone within 5 s: %v", got)
	}
	now = w.pass(1, each)
	if diff := cmp.Diff([]string{"replaced"}, which(now, gone)); diff != "" {
		t.Error(diff)
	}
	now = w.pass(24, each)
	if got := which(now, lost); got != nil {
		t.Errorf("lost after 30 s: %v", got)
	}
	now = w.pass(1, each)
	// Whose Raft is not heard of is of no use as a voter, whatever else is.
	if diff := cmp.Diff([]string{"answers only", "crashed", "gossip only", "replaced"}, which(now, lost)); diff != "" {
		t.Error(diff)
	}
	now = w.pass(3600-31, each)
	if diff := cmp.Diff([]string{"replaced"}, which(now, gone)); diff != "" {
		t.Errorf("gone after an hour: %s", diff)
	}
	now = w.pass(1, each)
	if diff := cmp.Diff([]string{"crashed", "replaced"}, which(now, gone)); diff != "" {
		t.Error(diff)
	}
}

// A leader that stood still finds everybody silent, and is the silent one itself.
func TestTally_AStallOfTheLeaderIsNobodysSilence(t *testing.T) {
	w := newWatch("a")
	w.pass(3, func() { w.good("a") })
	w.now = w.now.Add(2 * time.Hour)
	if s := w.look()["a"]; s.lost || s.gone {
		t.Errorf("right after the stall: %+v", s)
	}
	if s := w.pass(30, nil)["a"]; s.lost {
		t.Error("lost too early")
	}
	if s := w.pass(1, nil)["a"]; !s.lost {
		t.Error("never lost")
	}
}
