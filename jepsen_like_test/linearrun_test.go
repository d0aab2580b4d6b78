package jepsen_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

const (
	// searchTime bounds each search for an order; it takes a second or two.
	searchTime = time.Minute
	// step is how much each server that can must do before, during and after a
	// fault: writes, linearizable reads and turns of alternators.
	step = 50
	// brief is the same while a server stands still: its connections must outlive it.
	brief = 10
	// restful is the least that a worker waits between two operations.
	restful = 10 * time.Millisecond
)

// linearRun is a cluster whose members are on servers that nobody hurts, so that
// their lives do not end: a server that does not vote, and a frontend attached to
// it. Everything is asked of all servers.
type linearRun struct {
	*run
	*workload.Linear
	all   []*harness.Server
	lives map[string]uint64 // of the sids that members are on
	stop  func()
}

// startLinear starts it with logs in that store; "" is the default.
func startLinear(t *testing.T, store string, change func(*workload.Linear)) *linearRun {
	t.Helper()
	const witness, attached = "connector-9", "attached-1"
	servers := append(connectors(3), harness.Spec{SID: witness, SType: stype, NonVoter: true})
	for i := range servers {
		servers[i].LogStore = store
	}
	r := startPatiently(t, servers, 2*patience) // several faults, one after the other
	l := &linearRun{run: r, all: r.cluster.Servers, lives: make(map[string]uint64)}
	l.lives[attached] = r.listen(r.cluster.Server(witness), attached).epoch
	l.lives[witness] = r.servers(r.cluster.Server(witness))[witness].Epoch
	l.noteLife(attached)
	n := len(l.all)
	l.Linear = &workload.Linear{
		SIDs: []string{witness, attached}, Workers: 2 * n, Readers: n, Alternators: n, Channels: 4, UIDs: 3, Seed: r.seed,
		Pause: restful, Timeout: 5 * time.Second, Impatience: time.Second, History: r.history,
	}
	if harness.Race() {
		l.Pause *= 2 // the servers need the time
	}
	for _, s := range l.all {
		l.Servers = append(l.Servers, s)
	}
	if change != nil {
		change(l.Linear)
	}
	l.stop = r.background(l.Run)
	return l
}

func (l *linearRun) noteLife(sid string) {
	epoch := l.lives[sid]
	l.history.Note(history.Event{F: history.Life, SID: sid, SType: stype, Epoch: epoch, Index: history.RegisteredAt(epoch)})
}

// work waits until each of the servers has done that much more.
func (l *linearRun) work(n int, servers []*harness.Server) {
	l.t.Helper()
	l.must(l.Await(l.ctx, n, sids(servers)...))
}

// resume lets a paused server go on while reads wait in its sockets, and counts
// those that it answered. They were asked when others had long acknowledged what
// the server could not have heard of.
func (l *linearRun) resume(s *harness.Server) (answered int) {
	l.t.Helper()
	count := l.Ask(l.ctx, s)
	l.must(s.Resume())
	return count()
}

// judge ends the load and checks the history. Of a violation it leaves a page.
func (l *linearRun) judge() checker.LinearReport {
	l.t.Helper()
	l.stop()
	_, err := l.cluster.Settle(l.ctx)
	l.must(err)
	l.must(l.ReadAll(l.ctx))
	now := l.servers(l.all[0])
	for sid, epoch := range l.lives {
		if now[sid].Epoch != epoch {
			l.t.Fatalf("%s has life %d, at the beginning it had %d: the model knows of one", sid, now[sid].Epoch, epoch)
		}
	}
	report, err := checker.CheckLinear(l.history.Events(), searchTime)
	l.must(err)
	l.t.Log(report)
	return report
}

// verdict is judge for a run in which nothing may be wrong.
func (l *linearRun) verdict() checker.LinearReport {
	l.t.Helper()
	report := l.judge()
	l.mustFit(report)
	return report
}

// mustFit fails the test if something is wrong, and draws it.
func (r *run) mustFit(report checker.LinearReport) {
	r.t.Helper()
	if len(report.Violations) == 0 {
		return
	}
	page := filepath.Join(r.dir, "linearizability.html")
	written, err := report.WritePage(page, searchTime)
	r.must(err)
	if written {
		r.t.Logf("what was searched for an order, drawn: %s", page)
	}
	r.t.Errorf("%d violations, the first: %v", len(report.Violations), report.Violations[0])
}
