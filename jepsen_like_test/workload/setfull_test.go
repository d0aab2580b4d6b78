package workload_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run loads a fake cluster, ends one life and begins the next under load, and
// judges the history.
func run(t *testing.T, b bug, seed uint64) checker.Report {
	t.Helper()
	sids := []string{"a", "b", "c"}
	cluster := newFakeCluster(b, sids)
	h := history.NewRecorder()
	load := &workload.SetFull{Workers: 6, Channels: 3, Seed: seed, Timeout: time.Minute, Oldest: time.Millisecond, Watch: 5 * time.Millisecond, History: h}
	for _, sid := range sids {
		load.Servers = append(load.Servers, &fakeServer{cluster: cluster, sid: sid, refuse: rejected})
		h.Note(lifeNote(sid, cluster.epochs[sid]))
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		load.Run(ctx)
	}()
	await := func() {
		if err := load.Await(ctx, 50, sids...); err != nil {
			t.Error(err)
		}
	}
	await()
	h.Note(lifeNote("b", cluster.newLife("b")))
	await()
	// c's life ends, and goes on.
	for again := true; again && ctx.Err() == nil; again = cluster.idle() {
		old := cluster.epochs["c"]
		cluster.endLife("c")
		if err := load.Await(ctx, 30, "a", "b"); err != nil {
			t.Error(err)
		}
		h.Note(resumedNote("c", old, cluster.resumeLife("c")))
		await()
	}
	stop()
	<-ended
	if err := load.ReadAll(t.Context(), cluster.index, "connector"); err != nil {
		t.Fatal(err)
	}
	r, err := checker.Check(h.Events())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rejected gives an error the class that the product would give it.
func rejected(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	info := &errdetails.ErrorInfo{Domain: "globalchannel", Reason: "SERVER_GONE", Metadata: map[string]string{"class": "rejected"}}
	if s.Code() == codes.Aborted {
		info.Reason = "FENCED"
	}
	with, detailErr := s.WithDetails(info)
	if detailErr != nil {
		return detailErr
	}
	return with.Err()
}

func TestSetFull_FindsNothingWhereNothingIsWrong(t *testing.T) {
	r := run(t, noBug, 1)
	if len(r.Violations) > 0 {
		t.Errorf("violations: %v", r)
	}
	if r.Adds < 100 || r.Leaves < 25 || r.Reads < 10 || r.Ended != 2 || r.Resumed != 1 || r.Decided < 1000 {
		t.Errorf("too little was done: %v", r)
	}
}

// tries is how many runs may pass until a bug makes a difference that can be told: what
// is shown too late is right if nothing was written meanwhile.
const tries = 5

// Each seeded bug is found, by the name it deserves. An Add that waits for the next
// life may be seen as acknowledged too early, or as missing.
func TestSetFull_FindsSeededBugs(t *testing.T) {
	for b, want := range map[bug][]checker.Kind{
		dropsAdds:      {checker.Lost},
		ignoresLeaves:  {checker.Resurrected},
		listsTwice:     {checker.Duplicate},
		keepsOldLife:   {checker.Resurrected},
		noEpochCheck:   {checker.Fence},
		purgesOthers:   {checker.Lost},
		staleReads:     {checker.Lost},
		answersTooSoon: {checker.Lost},
		refusesInVain:  {checker.Phantom},
		goesBack:       {checker.Behind},
		mixesReads:     {checker.Torn},
		ignoresIndex:   {checker.Lost},
		localReads:     {checker.Lost},
		forgetsAge:     {checker.Lost},
		showsParked:    {checker.Resurrected},
		keepsRemoved:   {checker.Resurrected},
		losesParked:    {checker.Lost},
		addsToDead:     {checker.Fence, checker.Lost},
		writesFenced:   {checker.Phantom},
	} {
		t.Run(string(b), func(t *testing.T) {
			var r checker.Report
			for seed := range uint64(tries) {
				r = run(t, b, 2+seed)
				if slices.ContainsFunc(r.Violations, func(v checker.Violation) bool { return slices.Contains(want, v.Kind) }) {
					return
				}
			}
			t.Errorf("not found: want %s\n%v", want, r)
		})
	}
}

func TestSetFull_AwaitSaysWhoIsShort(t *testing.T) {
	load := &workload.SetFull{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := load.Await(ctx, 1, "a"); err == nil {
		t.Error("no error, though nobody works")
	}
}
