package workload_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// runLinear loads a fake cluster with workers that share members, and judges the
// history.
func runLinear(t *testing.T, b bug, seed uint64, localReads bool) checker.LinearReport {
	t.Helper()
	return runLinearOn(t, b, seed, localReads, func(s *fakeServer) workload.Server { return s })
}

// runLinearOn is runLinear with servers of another kind.
func runLinearOn(t *testing.T, b bug, seed uint64, localReads bool, as func(*fakeServer) workload.Server) checker.LinearReport {
	t.Helper()
	sids := []string{"a", "b", "c"}
	cluster := newFakeCluster(b, sids)
	h := history.NewRecorder()
	load := &workload.Linear{
		SIDs: sids[:2], Workers: 6, Readers: 3, Alternators: 3, Channels: 2, UIDs: 3, Seed: seed, Pause: 100 * time.Microsecond,
		Timeout: time.Minute, Impatience: time.Minute, History: h, LocalReads: localReads,
	}
	for _, sid := range sids {
		load.Servers = append(load.Servers, as(&fakeServer{cluster: cluster, sid: sid, refuse: rejected}))
		h.Note(lifeNote(sid, cluster.epochs[sid]))
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		load.Run(ctx)
	}()
	if err := load.Await(ctx, 100, sids...); err != nil {
		t.Error(err)
	}
	stop()
	<-ended
	if err := load.ReadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := checker.CheckLinear(h.Events(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLinear_FindsNothingWhereNothingIsWrong(t *testing.T) {
	for _, b := range []bug{noBug, lagsBehind} {
		r := runLinear(t, b, 1, false)
		if len(r.Violations) > 0 {
			t.Errorf("%q: violations: %v", b, r)
		}
		if r.Writes < 600 || r.Reads < 300 || r.Counted < 300 || r.Unknown+r.Failed > 0 {
			t.Errorf("%q: too little was done: %v", b, r)
		}
	}
}

// Each seeded bug is found, by every name it deserves.
func TestLinear_FindsSeededBugs(t *testing.T) {
	search, count := checker.NotLinearizable, checker.Once
	for b, want := range map[bug][]checker.Kind{
		dropsAdds:      {search},
		ignoresLeaves:  {search},
		listsTwice:     {checker.Duplicate},
		staleReads:     {search},
		refusesInVain:  {search},
		appliesTwice:   {search, count},
		forgetsResults: {search, count},
		tearsGroups:    {search},
	} {
		t.Run(string(b), func(t *testing.T) { found(t, runLinear(t, b, 2, false), want...) })
	}
}

// A read that shows what its server has, sold as one that shows what everybody
// was told.
func TestLinear_FindsLocalReadsSoldAsLinearizable(t *testing.T) {
	found(t, runLinear(t, lagsBehind, 3, true), checker.NotLinearizable)
}

func found(t *testing.T, r checker.LinearReport, want ...checker.Kind) {
	t.Helper()
	for _, kind := range want {
		if !slices.ContainsFunc(r.Violations, func(v checker.Violation) bool { return v.Kind == kind }) {
			t.Errorf("not found: want %s\n%v", kind, r)
		}
	}
}
