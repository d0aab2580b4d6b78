package jepsen_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
)

var _ nemesis.Disks = (*harness.Cluster)(nil)

// Everything that can become of the disk of one voter, one after the other and under
// load: and all three without power at once. Whatever was acknowledged, by anybody, at
// any time, is there in the end.
func TestSetFull_Disks(t *testing.T) { onDisk(t, disksSpoiled) }

// diskPhase is how many writes each server acknowledges in each phase.
const diskPhase = 40

func disksSpoiled(t *testing.T, keep func([]harness.Spec) []harness.Spec) {
	if err := faultfs.Able(); err != nil {
		t.Skipf("skipped, no disks that can be spoiled: %v", err)
	}
	r := startPatiently(t, keep(connectors(3)), 3*time.Minute, func(o *harness.Options) { o.Disks = true })
	d := &diskRun{run: r, load: r.load(r.cluster.Servers), lives: 3}
	d.await(d.load, diskPhase, d.cluster.Servers)

	wal := d.cluster.Servers[0].LogStore == "wal"
	d.fails("full", true, (*harness.Cluster).FillDisk, func(s faultfs.Seen) int { return s.Full }, map[bool]string{
		false: "no space left on device",
		true:  "the disk is nearly full", // its next 64 MiB are there already
	}[wal])
	d.fails("failing", false, (*harness.Cluster).FailDisk, func(s faultfs.Seen) int { return s.Failed }, "input/output error")
	d.hangs()
	d.slow()
	d.loses()
	d.losesAll()
	d.stale()
	d.wiped()

	report := r.verdict(d.load)
	if report.Lives != d.lives || report.Ended != d.lives-3 || report.Adds < 20*diskPhase || report.Purged == 0 {
		t.Errorf("%d lives, of which %d ended: want %d and %d; %v", report.Lives, report.Ended, d.lives, d.lives-3, report)
	}
}

// diskRun is a run in which one disk after the other is spoiled.
type diskRun struct {
	*run
	load  *load
	lives int // that there must have been
}

// victim is the leader, or a follower.
func (d *diskRun) victim(leads bool) (victim *harness.Server, others []*harness.Server) {
	d.t.Helper()
	reign, err := nemesis.Leader(d.ctx, d.cluster.Servers, 0)
	d.must(err)
	for _, s := range d.cluster.Servers {
		if victim == nil && (s == reign.Leader) == leads {
			victim = s
		} else {
			others = append(others, s)
		}
	}
	return victim, others
}

// says waits until a server tells what is wrong with it, or that all is well ("").
func (d *diskRun) says(s *harness.Server, problem string) {
	d.t.Helper()
	d.must(harness.Await(d.ctx, fmt.Sprintf("%s to say %q", s.SID, problem), func(ctx context.Context) error {
		status, err := s.Status(ctx, false)
		if err != nil {
			return err
		}
		if !strings.Contains(status.GetProblem(), problem) || problem == "" && !status.GetReady() {
			return fmt.Errorf("it is ready: %v; it says %q", status.GetReady(), status.GetProblem())
		}
		return nil
	}))
}

func (d *diskRun) seen(s *harness.Server) faultfs.Seen {
	d.t.Helper()
	seen, err := d.cluster.DiskFaults(s.SID)
	d.must(err)
	return seen
}

// again starts a server for a new life.
func (d *diskRun) again(servers ...*harness.Server) {
	d.t.Helper()
	d.must(d.cluster.Start(d.ctx, servers...))
	d.lives += len(servers)
	d.await(d.load, diskPhase, d.cluster.Servers)
}

// fails spoils the disk of a server, which leads or not, for as long as its process lives.
// It goes on as one that forwards writes, and another one leads.
func (d *diskRun) fails(what string, leads bool, spoil func(*harness.Cluster, string) (func() error, error), count func(faultfs.Seen) int, problem string) {
	d.t.Helper()
	victim, others := d.victim(leads)
	d.t.Logf("%s: %s", what, victim.SID)
	mend, err := spoil(d.cluster, victim.SID)
	d.must(err)
	d.says(victim, problem)
	_, err = nemesis.Leader(d.ctx, others, 0)
	d.must(err)
	d.await(d.load, diskPhase, d.cluster.Servers)
	if count(d.seen(victim)) == 0 && !strings.Contains(problem, "nearly") {
		d.t.Errorf("no call of %s met the %s disk", victim.SID, what)
	}
	d.must(mend())
	d.cluster.Kill(victim)
	d.again(victim)
}

// hangs stops the leader's disk: another one leads. When it goes on, so does the server.
func (d *diskRun) hangs() {
	d.t.Helper()
	victim, others := d.victim(true)
	d.t.Logf("hung: %s", victim.SID)
	mend, err := d.cluster.HangDisk(victim.SID)
	d.must(err)
	d.says(victim, "has not returned since")
	_, err = nemesis.Leader(d.ctx, others, 0)
	d.must(err)
	d.await(d.load, diskPhase, d.cluster.Servers)
	d.must(mend())
	d.says(victim, "")
	d.await(d.load, diskPhase, d.cluster.Servers)
	if d.seen(victim).Hung == 0 {
		d.t.Errorf("no call of %s hung", victim.SID)
	}
}

// slow makes all disks slow. That is no reason for elections.
func (d *diskRun) slow() {
	d.t.Helper()
	before, err := nemesis.Leader(d.ctx, d.cluster.Servers, 0)
	d.must(err)
	for _, s := range d.cluster.Servers {
		mend, err := d.cluster.SlowDisk(s.SID, 50*time.Millisecond)
		d.must(err)
		defer func() { d.must(mend()) }()
	}
	d.await(d.load, diskPhase, d.cluster.Servers)
	after, err := nemesis.Leader(d.ctx, d.cluster.Servers, 0)
	d.must(err)
	if before != after {
		d.t.Errorf("%v was followed by %v over slow disks", before, after)
	}
	for _, s := range d.cluster.Servers {
		if d.seen(s).Slowed == 0 {
			d.t.Errorf("no call of %s was slow", s.SID)
		}
	}
}

// loses cuts the power of a follower.
func (d *diskRun) loses() {
	d.t.Helper()
	victim, others := d.victim(false)
	d.t.Logf("power cut: %s", victim.SID)
	d.must(d.cluster.CutPower(victim.SID))
	d.await(d.load, diskPhase, others)
	d.again(victim)
}

// losesAll cuts the power of all, while each of them has something that is not synced.
func (d *diskRun) losesAll() {
	d.t.Helper()
	var mends []func() error
	var all []string
	lost := 0
	for _, s := range d.cluster.Servers {
		mend, err := d.cluster.SlowDisk(s.SID, 50*time.Millisecond)
		d.must(err)
		mends, all = append(mends, mend), append(all, s.SID)
		lost -= d.seen(s).Lost
	}
	d.await(d.load, 1, d.cluster.Servers)
	d.must(d.cluster.CutPower(all...))
	for i, s := range d.cluster.Servers {
		d.must(mends[i]())
		lost += d.seen(s).Lost
	}
	if lost == 0 {
		d.t.Error("nothing was lost by a power cut in the middle of writes")
	}
	d.t.Logf("power cut of all: %d pages, sizes and names lost", lost)
	d.again(d.cluster.Servers...)
}

func (d *diskRun) nodeID(s *harness.Server) string {
	d.t.Helper()
	status, err := s.Status(d.ctx, false)
	d.must(err)
	return status.GetNodeId()
}

// stale starts a follower with an old copy of its directory, and so without entries that
// it had acknowledged. Nothing in the directory can tell. It gets them again, since the
// others have them. What is with it and the leader alone would be lost with the leader: a
// directory that is set back counts as a disk that lied, and all others must not have
// failed meanwhile.
func (d *diskRun) stale() {
	d.t.Helper()
	stale, err := nemesis.Named("stale")
	d.must(err)
	scene := nemesis.NewScene(nemesis.Real{Cluster: d.cluster}, rand.New(rand.NewPCG(d.seed, 0)))
	seen, err := stale[0].Hurt(d.ctx, scene)
	d.must(err)
	d.t.Log(seen)
	d.lives += 2
	d.await(d.load, diskPhase, d.cluster.Servers)
}

// copied restarts a server, and copies its directory meanwhile.
func (d *diskRun) copied(s *harness.Server) (restore func() error) {
	d.t.Helper()
	s.Kill()
	restore, err := d.cluster.Copy(s.SID)
	d.must(err)
	d.again(s)
	return restore
}

// wiped cuts the end off a follower's log, which is not to be used any more, and starts it
// without its directory: as another node, which gets the vote of the old one. Then nobody
// may be the old one again.
func (d *diskRun) wiped() {
	d.t.Helper()
	victim, _ := d.victim(false)
	restore, old := d.copied(victim), d.nodeID(victim)
	victim.Kill()
	d.must(d.cluster.Damage(victim.SID, fault.Log, fault.Truncated))
	d.refused(victim, "delete all of it to start as a new node")
	d.must(d.cluster.Wipe(victim.SID))
	d.again(victim)
	d.votes(victim, old)

	victim.Kill()
	d.must(restore())
	d.refused(victim, "was taken out of the cluster and may not come back with what it had")
	d.must(d.cluster.Wipe(victim.SID))
	d.again(victim)
	d.votes(victim, old)
}

// refused starts a server that is not to use its directory, and says why.
func (d *diskRun) refused(s *harness.Server, why string) {
	d.t.Helper()
	d.must(s.Start())
	code, err := s.Ends(d.ctx)
	d.must(err)
	if said := s.Log.Tail(5); code == 0 || !strings.Contains(said, why) {
		d.t.Errorf("%s ended with code %d, and was to say that it %q:\n%s", s.SID, code, why, said)
	}
}

// votes waits until a server votes as another node than it was.
func (d *diskRun) votes(s *harness.Server, old string) {
	d.t.Helper()
	d.must(harness.Await(d.ctx, s.SID+" to vote", func(ctx context.Context) error {
		status, err := s.Status(ctx, false)
		if err != nil {
			return err
		}
		if status.GetNodeId() == old {
			return errors.New("it has its old node id")
		}
		if status.GetRole() != "voter" {
			return fmt.Errorf("its role is %q: %s", status.GetRole(), status.GetProblem())
		}
		return nil
	}))
}
