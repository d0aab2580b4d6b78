package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/fsm"
)

func TestJudge_RightIsWhatAMajorityOfVotersHolds(t *testing.T) {
	const index = 7
	hash := func(form uint32, at uint64, sum string) fsm.StateHash {
		return fsm.StateHash{Form: form, Index: at, Sum: sum}
	}
	voter := func(id, sum string) ballot { return ballot{nodeID: id, voter: true, hash: hash(1, index, sum)} }
	replica := func(id, sum string) ballot { return ballot{nodeID: id, hash: hash(1, index, sum)} }
	silent := func(id string) ballot { return ballot{nodeID: id, voter: true} }
	of := func(b ballot, form uint32) ballot {
		b.hash.Form = form
		return b
	}
	at := func(b ballot, index uint64) ballot {
		b.hash.Index = index
		return b
	}
	x := hash(1, index, "x")
	for name, tc := range map[string]struct {
		ballots []ballot
		want    judgement
	}{
		"nobody":     {nil, judgement{}},
		"no answers": {[]ballot{silent("a"), silent("b")}, judgement{}},
		"one alone":  {[]ballot{voter("a", "x")}, judgement{standingEqual, x, []string{"a"}, nil}},
		"all equal": {
			[]ballot{voter("a", "x"), voter("b", "x"), voter("c", "x"), replica("d", "x")},
			judgement{standingEqual, x, []string{"a", "b", "c", "d"}, nil},
		},
		"a majority, the rest silent": {
			[]ballot{voter("a", "x"), silent("b"), voter("c", "x")}, judgement{standingEqual, x, []string{"a", "c"}, nil},
		},
		"too few, and equal":           {[]ballot{voter("a", "x"), silent("b"), silent("c"), replica("d", "x")}, judgement{}},
		"a minority of voters":         {[]ballot{voter("a", "x"), voter("b", "y"), voter("c", "x")}, judgement{standingDiffers, x, []string{"a", "c"}, []string{"b"}}},
		"replicas do not vote":         {[]ballot{voter("a", "x"), replica("b", "y"), replica("c", "y")}, judgement{standingDiffers, x, []string{"a"}, []string{"b", "c"}}},
		"two wrong ones":               {[]ballot{voter("a", "y"), voter("b", "x"), voter("c", "x"), replica("d", "z")}, judgement{standingDiffers, x, []string{"b", "c"}, []string{"a", "d"}}},
		"two halves":                   {[]ballot{voter("a", "x"), voter("b", "y")}, judgement{standing: standingSplit}},
		"three states":                 {[]ballot{voter("a", "x"), voter("b", "y"), voter("c", "z")}, judgement{standing: standingSplit}},
		"the silent one would decide":  {[]ballot{voter("a", "x"), voter("b", "y"), silent("c")}, judgement{standing: standingSplit}},
		"a replica against too few":    {[]ballot{voter("a", "x"), silent("b"), silent("c"), replica("d", "y")}, judgement{standing: standingSplit}},
		"half of four is no majority":  {[]ballot{voter("a", "x"), voter("b", "x"), voter("c", "y"), silent("d")}, judgement{standing: standingSplit}},
		"another form is another hash": {[]ballot{voter("a", "x"), voter("b", "x"), of(voter("c", "y"), 2)}, judgement{standingEqual, x, []string{"a", "b"}, nil}},
		"forms have no majority":       {[]ballot{voter("a", "x"), of(voter("b", "y"), 2)}, judgement{}},
		"nor does one among several":   {[]ballot{of(voter("a", "x"), 2), of(voter("b", "y"), 2), voter("c", "x"), voter("d", "x")}, judgement{standing: standingSplit}},
		"another index is no answer":   {[]ballot{voter("a", "x"), voter("b", "x"), at(voter("c", "y"), index-1)}, judgement{standingEqual, x, []string{"a", "b"}, nil}},
		"an index alone is no answer":  {[]ballot{voter("a", ""), voter("b", "")}, judgement{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, judge(index, tc.ballots), cmp.AllowUnexported(judgement{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTurns_AreOneAtATime(t *testing.T) {
	now := time.Unix(1e9, 0)
	turns := newTurns(now)
	j := judgement{standing: standingDiffers, wrong: []string{"b", "d"}}
	ballots := []ballot{{nodeID: "a", answered: true}, {nodeID: "b", answered: true}, {nodeID: "c", answered: true}, {nodeID: "d", answered: true}}
	next := func(want, when string) {
		t.Helper()
		if got := turns.next(j, ballots, now); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	next("d", "first turn")
	next("b", "second turn")
	next("d", "third turn")
	ballots[3].rebuilding = true
	next("", "while d rebuilds")

	ballots[3] = ballot{nodeID: "d"}
	next("", "when d cannot be reached, which was rebuilding")
	now = now.Add(silentFor - time.Second)
	next("", "while d may be at it yet")
	now = now.Add(2 * time.Second)
	j.wrong = []string{"b"} // nobody has heard from the other one
	next("b", "when d has given up, or is gone")

	ballots[2] = ballot{nodeID: "c"}
	next("", "when another one, which somebody else may have told, is silent")
	turns = newTurns(now)
	now = now.Add(silentFor + time.Second)
	next("b", "when all are silent for long enough, since this node leads")

	j = judgement{standing: standingSplit}
	next("", "though nobody knows who is right")
}
