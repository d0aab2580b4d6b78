package jepsen_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
)

// The network of real servers is cut in every way and spoiled, one fault after the
// other, under load. Nobody is lost, and nobody comes back who was removed. The only
// life that ends is that of a server which nothing reaches for longer than ReapAfter;
// for the faults after that one ReapAfter is raised, so that no other one does.
func TestNetwork_CutAndSpoiled(t *testing.T) {
	// Not beside others: on a machine that is too busy for gossip a server that is heard
	// by gossip alone is taken for dead, as it may be.
	n := startOnNetwork(t, 2*patience)
	n.parking()
	before := n.epochs(n.all[0])
	lost := n.nonVoters()[1].SID

	n.during("gossip lost", n.gossipLost)
	n.during("all of one lost, and calls of another", n.oneLost)
	n.resumed(lost, before[lost])
	n.command(n.all[0], "settings", "--set", "reap-after=2m")
	n.during("leader isolated", n.leaderIsolated)
	n.during("bridge", n.bridge)
	n.during("leader unheard", n.leaderUnheard)
	n.during("leader cut off with all that do not vote", n.leaderWithNonVoters)
	if waited := n.waited.Load(); waited == 0 {
		t.Error("no linearizable read waited for the healing and was answered then, the run does not count")
	}
	n.during("calls lost", n.callsLost)
	n.during("bad weather", n.badWeather)

	report := n.verdict(n.load)
	delete(before, lost)
	for _, s := range n.all {
		after := n.epochs(s)
		delete(after, lost)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("lives at %s (-before +after):\n%s", s.SID, diff)
		}
	}
	if report.Ended != 1 || report.Resumed != 1 || report.Lives != len(n.all)+1 {
		t.Errorf("%d lives, of which %d ended and %d were resumed: want %d, 1 and 1, the run does not count", report.Lives, report.Ended, report.Resumed, len(n.all)+1)
	}
	if report.Adds < 8*some*len(n.all)/2 || report.Leaves < phase || report.Unknown == 0 || report.Replicas < len(n.all) {
		t.Errorf("too little was done for the run to count: %v", report)
	}
	t.Log(n.network.Stats())
}

// Gossip alone says nothing about who is dead: servers that answer calls live on. Only
// its packets can be lost apart from calls; its streams share their port.
func (n *networkRun) gossipLost() {
	before := n.epochs(n.all[0])
	n.must(nemesis.CutAll(n, sids(n.all), sids(n.all), fault.Gossip))
	n.lasting(reapAfter + 3*time.Second)
	n.await(n.load, some, n.all)
	n.live(n.all, before)
}

// A server that no call reaches lives on as long as gossip hears it. One that
// nothing reaches does not.
func (n *networkRun) oneLost() {
	half, lost := n.nonVoters()[0], n.nonVoters()[1]
	rest := n.without(half, lost)
	living := n.epochs(half)
	delete(living, lost.SID)
	n.must(nemesis.Split(n, []string{half.SID}, sids(rest), fault.Calls))
	n.must(nemesis.Split(n, []string{lost.SID}, sids(n.without(lost)), fault.All))
	n.await(n.load, some, rest)
	n.lasting(reapAfter + 3*time.Second)
	n.live(rest, living)
	n.await(n.load, some, rest)
}

// live waits until all of those servers show just those lives.
func (n *networkRun) live(servers []*harness.Server, want map[string]uint64) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.ctx, patience/6)
	defer cancel()
	for _, s := range servers {
		n.must(harness.Await(ctx, "the lives that "+s.SID+" shows", func(context.Context) error {
			if diff := cmp.Diff(want, n.epochs(s)); diff != "" {
				return fmt.Errorf("(-want +got):\n%s", diff)
			}
			return nil
		}))
	}
}

// resumed waits until all servers show another life of that one.
func (n *networkRun) resumed(sid string, old uint64) {
	n.t.Helper()
	for _, s := range n.all {
		n.eventually(s.SID+" to show the new life of "+sid, func() error {
			if now := n.epochs(s)[sid]; now == old || now == 0 {
				return fmt.Errorf("epoch %d", now)
			}
			return nil
		})
	}
}

// Another one leads; that the old one learns of it is for after the healing.
func (n *networkRun) leaderIsolated() {
	old := n.reign(n.all, 0)
	rest := n.without(old.Leader)
	n.must(nemesis.Split(n, []string{old.Leader.SID}, sids(rest), fault.All))
	n.reign(rest, old.Term)
	n.await(n.load, some, rest)
}

// One voter reaches both sides, which do not reach each other. It goes on, with
// whoever leads: nearly always the old leader, but on a busy machine it may have
// missed a heartbeat, and then the other side has as good a claim.
func (n *networkRun) bridge() {
	reign := n.reign(n.all, 0)
	f, witnesses := n.followers(reign), n.nonVoters()
	left, right, bridge := []*harness.Server{reign.Leader, witnesses[0]}, []*harness.Server{f[0], witnesses[1]}, f[1:]
	n.must(nemesis.Split(n, sids(left), sids(right), fault.All))
	n.await(n.load, some, bridge)
	n.lasting(2 * time.Second) // several elections
	n.await(n.load, some, bridge)
}

// What the leader sends is lost, what it is sent arrives.
func (n *networkRun) leaderUnheard() {
	old := n.reign(n.all, 0)
	rest := n.without(old.Leader)
	n.must(nemesis.CutAll(n, []string{old.Leader.SID}, sids(rest), fault.All))
	n.reign(rest, old.Term)
	n.await(n.load, some, rest)
}

// An old leader that most servers still reach, but hardly a voter, must not take
// that for leading: its linearizable reads, and those of the servers with it, fail
// or show what the new leader acknowledged. Half of them give up before the healing,
// the others wait for it.
func (n *networkRun) leaderWithNonVoters() {
	old := n.reign(n.all, 0)
	voters := n.followers(old)
	stranded := n.without(voters...)
	n.must(nemesis.Split(n, sids(stranded), sids(voters), fault.All))
	n.reign(voters, old.Term)
	n.await(n.load, some, voters)
	n.write(voters[0], "add", "news", "marker", voters[0].SID)
	ask := func(s *harness.Server, within time.Duration) (answered bool) {
		uids, err := n.askLinearizably(s, "news", within)
		if err == nil && !slices.Contains(uids, "marker") {
			n.t.Errorf("%s, cut off from the new leader, answered a linearizable read without what was acknowledged: %q", s.SID, uids)
		}
		return err == nil
	}
	var brief sync.WaitGroup
	for _, s := range stranded {
		brief.Go(func() { ask(s, time.Second) })
		n.asking.Go(func() {
			if ask(s, 20*time.Second) {
				n.waited.Add(1)
			}
		})
	}
	brief.Wait()
}

// Everything but gossip is lost: nobody leads, and nobody is taken for dead.
func (n *networkRun) callsLost() {
	n.must(nemesis.CutAll(n, sids(n.all), sids(n.all), fault.Calls))
	n.eventually("nobody to lead", func() error { return leaderless(n.ctx, n.all) })
}

// A bad line: 50 ms, 30 more or less, with loss, copies and packets overtaken.
func (n *networkRun) badWeather() {
	n.must(nemesis.SetWeatherAmong(n, sids(n.all), fault.Weather{
		Delay: 20 * time.Millisecond, Jitter: 60 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Reorder: 0.05,
	}))
	n.await(n.load, some, n.all)
}

// Every server moves in turn, the leader last, until none is where the others had
// been told at first: each tells them itself, when it is started again.
func TestNetwork_ServersMove(t *testing.T) {
	t.Parallel()
	t.Run("machine", func(t *testing.T) {
		n := startOnNetwork(t, 2*patience)
		n.moveAll()
	})
	t.Run("port", func(t *testing.T) { // of one machine, so it needs no network of ours
		r := startPatiently(t, connectors(3), 2*patience)
		n := &networkRun{run: r, Real: nemesis.Real{Cluster: r.cluster}, all: r.cluster.Servers, load: r.load(r.cluster.Servers)}
		n.moveAll()
	})
}

func (n *networkRun) moveAll() {
	n.await(n.load, some, n.all)
	last := n.reign(n.all, 0).Leader
	moved := make(map[string]string)
	for _, s := range append(n.without(last), last) {
		from := s.Addr
		n.must(n.Kill(s.SID))
		n.must(n.Move(n.ctx, s.SID))
		n.must(n.Ready(n.ctx, s.SID))
		if s.Addr == from {
			n.t.Fatalf("%s is still at %s", s.SID, from)
		}
		moved[s.SID] = s.Addr
		n.reign(n.all, 0)
		n.await(n.load, some, n.all)
	}
	for _, s := range n.all {
		n.eventually(s.SID+" to know where all are", func() error {
			got := make(map[string]string)
			for sid, line := range n.servers(s) {
				got[sid] = line.Addr
			}
			if diff := cmp.Diff(moved, got); diff != "" {
				return fmt.Errorf("(-want +got):\n%s", diff)
			}
			return nil
		})
	}
	if report := n.verdict(n.load); report.Ended != len(n.all) || report.Purged == 0 {
		n.t.Errorf("%d lives ended, of which %d memberships were seen gone: want %d and some, the run does not count", report.Ended, report.Purged, len(n.all))
	}
}
