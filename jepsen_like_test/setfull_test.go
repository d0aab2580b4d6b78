package jepsen_test

import (
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
)

// phase is how many writes each server that can must acknowledge before, during
// and after a fault, or the run does not count.
const phase = 100

// The leader is killed under load and comes back. Nobody may be lost who was
// acknowledged, except, and all of them, the members of the killed server's old
// life.
func TestSetFull_LeaderKilled(t *testing.T) { onDisk(t, leaderKilled) }

func leaderKilled(t *testing.T, keep func([]harness.Spec) []harness.Spec) {
	r := start(t, keep(connectors(3)))
	all := r.cluster.Servers
	l := r.load(all)
	r.await(l, phase, all)

	d, err := nemesis.KillLeader(r.ctx, all)
	r.must(err)
	t.Log(d)
	r.await(l, phase, d.Survivors)

	r.must(r.cluster.Start(r.ctx, d.Old.Leader))
	r.await(l, phase, all)

	report := r.verdict(l)
	if report.Ended != 1 || report.Lives != 4 {
		t.Errorf("%d lives, of which %d ended: want 4 and 1, the run does not count", report.Lives, report.Ended)
	}
	if d.New.Leader == d.Old.Leader || report.Adds < 4*phase || report.Leaves < phase || report.Purged == 0 || report.Replicas < 3 {
		t.Errorf("too little was done for the run to count: %v; %v", d, report)
	}
}

// The leader stands still for longer than an election takes, and goes on as if
// nothing had been. It is the same life, so nobody may be missing at all, and
// nothing that it was still doing may undo what others did meanwhile.
func TestSetFull_LeaderPaused(t *testing.T) {
	const pause = 4 * time.Second
	r := start(t, connectors(3))
	all := r.cluster.Servers
	l := r.load(all)
	r.await(l, phase, all)

	since := r.history.Tail()
	d, err := nemesis.PauseLeader(r.ctx, all)
	r.must(err)
	t.Log(d)
	stopped := time.NewTimer(pause - d.Took)
	defer stopped.Stop()
	r.await(l, phase, d.Survivors)
	select {
	case <-stopped.C:
	case <-r.ctx.Done():
		t.Fatal("the test's time is over")
	}
	// Nearly always there was one long ago; but all its workers may have been reading.
	r.must(since.Await(r.ctx, "a write given up by its client", func(e history.Event) bool {
		return e.Type == history.Unknown && e.Via == d.Old.Leader.SID
	}))
	r.must(d.Old.Leader.Resume())
	r.await(l, phase, all)
	after, err := nemesis.Leader(r.ctx, all, d.Old.Term)
	r.must(err)

	report := r.verdict(l)
	if report.Ended != 0 || report.Lives != 3 {
		t.Errorf("%d lives, of which %d ended: want 3 and 0, the run does not count", report.Lives, report.Ended)
	}
	if d.New.Leader == d.Old.Leader || after.Term < d.New.Term || report.Adds < 4*phase || report.Leaves < phase || report.Unknown == 0 {
		t.Errorf("too little was done for the run to count: %v, then %v; %v", d, after, report)
	}
}
