package jepsen_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// Members are on the very servers that are hurt. Leaders and others are killed and
// started again, before or after their lives are declared over, and stand still for so
// long that they are; meanwhile everybody adds, for lives as they were last heard of or
// a while ago, removes, and reads linearizably. One order in real time explains every
// answer, with each life ending, and each beginning, at one moment: no ghost, nobody
// back whom somebody had removed, nobody lost whose server was only away.
func TestLives_EndAndGoOn(t *testing.T) {
	t.Parallel() // its clients pause, and half of the time it waits
	l := startLives(t)
	l.work(step, l.all)

	// A leader is another process at once, and its life is over with that.
	d, err := nemesis.KillWritingLeader(l.ctx, l.all, l.history)
	l.must(err)
	t.Log(d)
	l.must(l.cluster.Start(l.ctx, d.Old.Leader))
	l.work(step, l.all)

	// A leader stands still, and goes on as the next life of its process.
	before := l.epochs(l.all[0])
	d, err = nemesis.PauseLeader(l.ctx, l.all)
	l.must(err)
	t.Log(d)
	l.goesOn(d.Old.Leader, before, d.Survivors)

	// A follower is dead until its life is over, then it is another process.
	w, err := nemesis.KillFollower(l.ctx, l.all)
	l.must(err)
	t.Log(w)
	l.over(w.Follower)
	l.work(brief, w.Rest)
	l.must(l.cluster.Start(l.ctx, w.Follower))
	l.work(step, l.all)

	// A server without a vote stands still, twice.
	away := l.all[len(l.all)-1]
	for range 2 {
		before := l.epochs(l.all[0])
		l.must(away.Pause())
		l.goesOn(away, before, l.all[:len(l.all)-1])
	}

	report := l.verdict()
	if report.Ended < 5 || report.Resumed < 3 || report.Unknown == 0 || l.Gone() == 0 || report.Writes < 500 || report.Reads < 500 {
		t.Errorf("too little was done for the run to count: %v; %d writes came too late for their lives", report, l.Gone())
	}
}

// livesRun is a cluster whose members are on servers that are hurt.
type livesRun struct {
	*run
	*workload.Linear
	all  []*harness.Server
	stop func()
}

func startLives(t *testing.T) *livesRun {
	t.Helper()
	servers := append(connectors(3), harness.Spec{SID: "connector-4", SType: stype, NonVoter: true})
	for i := range servers {
		servers[i].ReapAfter = 3 * time.Second
	}
	r := startPatiently(t, servers, 2*patience)
	l := &livesRun{run: r, all: r.cluster.Servers}
	for _, s := range l.all {
		r.must(harness.Await(r.ctx, s.SID+" to park", func(ctx context.Context) error {
			st, err := s.Status(ctx, false)
			if err == nil && st.GetLevel() < parkingLevel {
				err = fmt.Errorf("level %d", st.GetLevel())
			}
			return err
		}))
	}
	n := len(l.all)
	l.Linear = &workload.Linear{
		SIDs: sids(l.all), Workers: 2 * n, Readers: n, Delayed: n, Channels: 4, UIDs: 3, Seed: r.seed,
		Pause: 3 * restful, Timeout: 5 * time.Second, Impatience: time.Second, History: r.history,
		Delay: 6 * time.Second, Watch: 100 * time.Millisecond,
	}
	for _, s := range l.all {
		l.Servers = append(l.Servers, s)
	}
	l.stop = r.background(l.Run)
	return l
}

// work waits until each of the servers has done that much more.
func (l *livesRun) work(n int, servers []*harness.Server) {
	l.t.Helper()
	l.must(l.Await(l.ctx, n, sids(servers)...))
}

// over waits until a server lists the others without s.
func (l *livesRun) over(s *harness.Server) {
	l.t.Helper()
	l.must(l.history.Tail().Await(l.ctx, "the end of the life of "+s.SID, func(e history.Event) bool {
		return e.F == history.Listed && e.Via != s.SID && e.Lives[s.SID] == 0
	}))
}

// goesOn lets a server that stands still go on when its life is over and the others
// have worked without it, and waits for the life after the one that it had before.
func (l *livesRun) goesOn(s *harness.Server, before map[string]uint64, others []*harness.Server) {
	l.t.Helper()
	l.over(s)
	l.work(brief, others)
	l.must(s.Resume())
	l.must(harness.Await(l.ctx, "the next life of "+s.SID, func(ctx context.Context) error {
		st, err := s.Ready(ctx)
		if err == nil && st.GetEpoch() == before[s.SID] {
			err = fmt.Errorf("epoch %d", st.GetEpoch())
		}
		return err
	}))
	l.work(step, l.all)
}

// verdict ends the load and checks the history.
func (l *livesRun) verdict() checker.LinearReport {
	l.t.Helper()
	l.stop()
	_, err := l.cluster.Settle(l.ctx)
	l.must(err)
	l.must(l.ReadAll(l.ctx))
	report, err := checker.CheckLinear(l.history.Events(), searchTime)
	l.must(err)
	l.t.Log(report)
	l.mustFit(report)
	return report
}
