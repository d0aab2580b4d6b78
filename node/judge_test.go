package node

import (
	"testing"

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

func TestWhoseTurn_IsOneAtATime(t *testing.T) {
	j := judgement{standing: standingDiffers, wrong: []string{"b", "d"}}
	ballots := []ballot{{nodeID: "a"}, {nodeID: "b"}, {nodeID: "c"}, {nodeID: "d"}}
	for turn, want := range []string{"b", "d", "b"} {
		if got := whoseTurn(j, ballots, turn); got != want {
			t.Errorf("turn %d: %q, want %q", turn, got, want)
		}
	}
	ballots[3].rebuilding = true
	if got := whoseTurn(j, ballots, 0); got != "" {
		t.Errorf("%q while another one rebuilds", got)
	}
	if got := whoseTurn(judgement{standing: standingSplit}, ballots[:2], 0); got != "" {
		t.Errorf("%q though nobody knows who is right", got)
	}
}
