package workload_test

import (
	"context"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// livesRun is a fake cluster whose servers, which members are on, die and come back.
type livesRun struct {
	t       *testing.T
	cluster *fakeCluster
	history *history.Recorder
	load    *workload.Linear
	ctx     context.Context
}

// runLives ends a life and begins the next, of another process and of the same one,
// while workers share the members, and judges the history.
func runLives(t *testing.T, b bug, seed uint64) (checker.LinearReport, *workload.Linear) {
	t.Helper()
	sids := []string{"a", "b", "c"}
	r := &livesRun{t: t, cluster: newFakeCluster(b, sids), history: history.NewRecorder()}
	r.load = &workload.Linear{
		SIDs: sids, Workers: 6, Readers: 3, Delayed: 3, Channels: 2, UIDs: 3, Seed: seed, Pause: 200 * time.Microsecond,
		Timeout: time.Minute, Impatience: time.Minute, Delay: 20 * time.Millisecond, Watch: 5 * time.Millisecond, History: r.history,
	}
	for _, sid := range sids {
		r.load.Servers = append(r.load.Servers, &fakeServer{cluster: r.cluster, sid: sid, refuse: rejected})
		r.history.Note(lifeNote(sid, r.cluster.epochs[sid]))
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	r.ctx = ctx
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.load.Run(ctx)
	}()
	r.work(sids...)
	for round := 0; round < 3 || r.cluster.idle() && ctx.Err() == nil; round++ {
		r.history.Note(lifeNote("b", r.cluster.newLife("b")))
		r.work(sids...)
		old := r.cluster.epochs["c"]
		r.cluster.endLife("c")
		r.some(1+7*(round%2), "a", "b") // of whom is parked, few are removed, or most
		r.history.Note(resumedNote("c", old, r.cluster.resumeLife("c")))
		r.work(sids...)
	}
	stop()
	<-ended
	report, err := checker.CheckLinear(r.history.Events(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return report, r.load
}

func (r *livesRun) work(via ...string) { r.some(25, via...) }

func (r *livesRun) some(n int, via ...string) {
	r.t.Helper()
	if err := r.load.Await(r.ctx, n, via...); err != nil {
		r.t.Error(err)
	}
}

func TestLinearLives_FindsNothingWhereNothingIsWrong(t *testing.T) {
	r, load := runLives(t, noBug, 1)
	if len(r.Violations) > 0 {
		t.Errorf("violations: %v", r)
	}
	if r.Writes < 400 || r.Reads < 300 || r.Ended != 6 || r.Resumed != 3 || load.Gone() == 0 || r.Failed == 0 {
		t.Errorf("too little was done: %v; %d writes came too late", r, load.Gone())
	}
}

func TestLinearLives_FindsSeededBugs(t *testing.T) {
	for _, b := range []bug{
		keepsOldLife, noEpochCheck, showsParked, keepsRemoved, losesParked, addsToDead, writesFenced, resumesInHalf,
	} {
		t.Run(string(b), func(t *testing.T) {
			r, _ := runLives(t, b, 2)
			found(t, r, checker.NotLinearizable)
		})
	}
}
