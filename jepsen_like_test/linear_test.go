package jepsen_test

import (
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// Leaders are killed one after the other while clients everywhere write the same
// members and read them linearizably; then a follower is. There is an order of all
// operations that explains every answer, and no write that had to be sent again
// took effect twice or late. A kill is where the two kinds of log differ, so each
// has its turn; the second has fewer rounds, for time.
func TestLinear_Killed(t *testing.T) {
	onDisk(t, func(t *testing.T, keep func([]harness.Spec) []harness.Spec) {
		store := keep(connectors(1))[0].LogStore
		linearKilled(t, store, map[string]int{"boltdb": 3, "wal": 2}[store])
	})
}

func linearKilled(t *testing.T, store string, rounds int) {
	l := startLinear(t, store, nil)
	l.work(step, l.all)
	for range rounds {
		d, err := nemesis.KillWritingLeader(l.ctx, l.all, l.history)
		l.must(err)
		t.Log(d)
		if d.New.Leader == d.Old.Leader || d.New.Term <= d.Old.Term {
			t.Errorf("no election: %v; the run does not count", d)
		}
		l.work(step, d.Survivors)
		l.must(l.cluster.Start(l.ctx, d.Old.Leader))
		l.work(step, l.all)
	}
	w, err := nemesis.KillFollower(l.ctx, l.all)
	l.must(err)
	t.Log(w)
	l.work(step, w.Rest)
	l.must(l.cluster.Start(l.ctx, w.Follower))
	l.work(step, l.all)

	report := l.verdict()
	if report.Unknown < rounds || report.Counted < (2*rounds+1)*step*len(l.all) {
		t.Errorf("too little was done for the run to count: %v", report)
	}
}

// Leaders stand still until another one leads, and go on with reads waiting in
// their sockets: they must not be answered from what such a server still believes.
func TestLinear_Paused(t *testing.T) {
	const rounds = 2
	l := startLinear(t, "", nil)
	l.work(step, l.all)
	answered := 0
	for range rounds {
		d, err := nemesis.PauseLeader(l.ctx, l.all)
		l.must(err)
		t.Log(d)
		if d.New.Leader == d.Old.Leader || d.New.Term <= d.Old.Term {
			t.Errorf("no election: %v; the run does not count", d)
		}
		l.work(brief, d.Survivors)
		answered += l.resume(d.Old.Leader)
		l.work(step, l.all)
	}
	w, err := nemesis.PauseFollower(l.ctx, l.all)
	l.must(err)
	t.Log(w)
	l.work(brief, w.Rest)
	answered += l.resume(w.Follower)
	l.work(step, l.all)

	report := l.verdict()
	if answered == 0 || report.Counted < (rounds+1)*step*len(l.all) {
		t.Errorf("too little was done for the run to count: %d reads over a pause; %v", answered, report)
	}
}

// The check sees on real servers what it is there for: the same run with reads
// that show what the server has, sold as linearizable, is found out.
func TestLinear_LocalReadsAreFound(t *testing.T) {
	l := startLinear(t, "", func(load *workload.Linear) { load.LocalReads = true })
	l.work(step, l.all)
	d, err := nemesis.PauseLeader(l.ctx, l.all)
	l.must(err)
	t.Log(d)
	l.work(brief, d.Survivors)
	l.resume(d.Old.Leader)
	l.work(step, l.all)
	report := l.judge()
	if len(report.Violations) == 0 || report.Violations[0].Kind != checker.NotLinearizable {
		t.Errorf("not found: %v", report)
	}
}
