package demo

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// newTestRun is a run of three servers that are up, with players, at a clock that
// the test turns. No process is real.
func newTestRun(t *testing.T) (r *run, text *bytes.Buffer) {
	t.Helper()
	text = &bytes.Buffer{}
	r = &run{began: time.Now(), truth: newTruth(), pushes: newDeliveries(), stage: &stage{dir: t.TempDir()}}
	r.out = &printer{w: text, now: r.now}
	for _, sid := range []string{"connector-1", "connector-2", "connector-3"} {
		s := &server{assignment: assignment{SID: sid, Crowd: crowdPlan{Count: 20}}, up: true, nodeID: "id of " + sid}
		s.proc = &process{sid: sid, cmd: deadCommand(t)}
		r.servers = append(r.servers, s)
		r.handle(event{proc: s.proc, report: &report{Ready: true}})
		r.handle(event{proc: s.proc, report: &report{Players: 20}})
	}
	return r, text
}

func (r *run) hears(i int, rep report) { r.handle(event{proc: r.servers[i].proc, report: &rep}) }

func TestRun_OnlyANewTermIsANewLeader(t *testing.T) {
	r, text := newTestRun(t)
	for i := range r.servers {
		r.hears(i, report{Leader: &leaderReport{SID: "connector-2", Term: 2}})
	}
	r.hears(0, report{Leader: &leaderReport{NodeID: "id of connector-1", Term: 3}}) // its sid not yet known there
	r.hears(2, report{Leader: &leaderReport{SID: "connector-2", Term: 2}})          // heard late
	if got := r.leading(); got != r.servers[0] || r.leaders != 2 {
		t.Errorf("leading: %v after %d leaders, want connector-1 after 2", got, r.leaders)
	}
	if got := strings.Count(text.String(), "leads"); got != 2 {
		t.Errorf("%d lines about leaders, want 2:\n%s", got, text)
	}
	if s := r.follower(); s != r.servers[2] {
		t.Errorf("follower: %v, want connector-3", s)
	}
}

func TestRun_ARestartedLeaderDoesNotLead(t *testing.T) {
	r, _ := newTestRun(t)
	r.hears(0, report{Leader: &leaderReport{SID: "connector-1", Term: 2}})
	r.handle(event{proc: r.servers[0].proc, end: &end{killed: true}})
	r.servers[0].up = true
	r.servers[1].nodeID = "" // one that has not said who it is
	if got := r.leading(); got != nil {
		t.Errorf("leading: %s, want nobody before a new term", got.SID)
	}
}

func TestRun_AKillByAnybodyIsPartOfTheDemo(t *testing.T) {
	r, text := newTestRun(t)
	s := r.servers[1]
	r.hears(1, report{Ops: []operation{{Seq: 1, Kind: join, Channel: "world", UID: "ann", Outcome: acknowledged, At: r.now()}}})
	r.hears(1, report{Pushes: &pushSums{Pushes: 3}})
	r.handle(event{proc: s.proc, end: &end{killed: true}})
	if r.failure != nil || s.kill == nil || !s.kill.dead {
		t.Fatalf("failure %v, kill %+v; want a kill and no failure", r.failure, s.kill)
	}
	if got := r.everybodyIn(); len(got) != 1 || !strings.HasPrefix(got[0], "connector-2: not running") {
		t.Errorf("missing: %v, want connector-2", got)
	}
	s.up = true
	r.hears(1, report{Ready: true})
	r.hears(1, report{Pushes: &pushSums{Pushes: 4}})
	r.hears(1, report{Players: 20})
	if got := r.everybodyIn(); len(got) != 0 {
		t.Errorf("missing: %v, want nobody", got)
	}
	if s.earlier.Pushes != 3 || s.pushes.Pushes != 4 {
		t.Errorf("pushes: %d before and %d after the kill, want 3 and 4", s.earlier.Pushes, s.pushes.Pushes)
	}
	if found := r.truth.check("s", state(pair{"world", "ann", "connector-2"})); len(found) != 1 {
		t.Errorf("findings %v, want ann as a ghost: her server's life is over", words(found))
	}
	for _, want := range []string{"not by the demo", "stood still for"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, text)
		}
	}
}

func TestRun_AnyOtherEndIsAFailureThatShowsTheLog(t *testing.T) {
	r, _ := newTestRun(t)
	if err := os.WriteFile(r.stage.logFile("connector-3"), []byte("one\npanic: oops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.handle(event{proc: r.servers[2].proc, end: &end{err: errors.New("exit status 2")}})
	if r.failure == nil {
		t.Fatal("no failure")
	}
	for _, want := range []string{"connector-3", "exit status 2", "panic: oops"} {
		if !strings.Contains(r.failure.Error(), want) {
			t.Errorf("failure %q lacks %q", r.failure, want)
		}
	}
}

func TestRun_AWaitThatFailsNamesWhoAndWhy(t *testing.T) {
	r, _ := newTestRun(t)
	s := r.servers[0]
	s.ready, s.full = false, false
	problem := "2 of 3 founders seen"
	r.hears(0, report{Problem: &problem})
	if got, want := s.waitsFor(), "connector-1: not registered (2 of 3 founders seen)"; got != want {
		t.Errorf("waitsFor = %q, want %q", got, want)
	}
}
