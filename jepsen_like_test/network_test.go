package jepsen_test

import (
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
// other, under load. Nobody is lost, nobody comes back, and no life ends: cuts of
// everything are shorter than ReapAfter, which is raised for them, because what is
// written for a life that ends and is resumed can't be judged here yet.
func TestNetwork_CutAndSpoiled(t *testing.T) {
	n := startOnNetwork(t, 2*patience)
	before := n.epochs(n.all[0])

	n.during("gossip lost", n.gossipLost)
	n.command(n.all[0], "settings", "--set", "reap-after=2m")
	n.during("leader isolated", n.leaderIsolated)
	n.during("bridge", n.bridge)
	n.during("leader unheard", n.leaderUnheard)
	n.during("leader cut off with all that do not vote", n.leaderWithNonVoters)
	n.during("calls lost", n.callsLost)
	n.during("bad weather", n.badWeather)

	report := n.verdict(n.load)
	for _, s := range n.all {
		if diff := cmp.Diff(before, n.epochs(s)); diff != "" {
			t.Errorf("lives at %s (-before +after):\n%s", s.SID, diff)
		}
	}
	if report.Ended != 0 || report.Lives != len(n.all) {
		t.Errorf("%d lives, of which %d ended: want %d and 0, the run does not count", report.Lives, report.Ended, len(n.all))
	}
	if report.Adds < 8*some*len(n.all)/2 || report.Leaves < phase || report.Unknown == 0 || report.Replicas < len(n.all) {
		t.Errorf("too little was done for the run to count: %v", report)
	}
	t.Log(n.network.Stats())
}

// Gossip alone says nothing about who is dead: servers that answer calls live on.
func (n *networkRun) gossipLost() {
	before := n.epochs(n.all[0])
	n.must(nemesis.CutAll(n, sids(n.all), sids(n.all), fault.Gossip))
	n.lasting(reapAfter + 3*time.Second)
	for _, s := range n.all {
		if diff := cmp.Diff(before, n.epochs(s)); diff != "" {
			n.t.Errorf("lives at %s without gossip (-before +after):\n%s", s.SID, diff)
		}
	}
	n.await(n.load, some, n.all)
}

// Another one leads; that the old one learns of it is for after the healing.
func (n *networkRun) leaderIsolated() {
	old := n.reign(n.all, 0)
	rest := n.without(old.Leader)
	n.must(nemesis.Split(n, []string{old.Leader.SID}, sids(rest), fault.All))
	n.reign(rest, old.Term)
	n.await(n.load, some, rest)
}

// One voter reaches both sides, which do not reach each other: the leader's side
// goes on. A voter of the other side can't take its place.
func (n *networkRun) bridge() {
	reign := n.reign(n.all, 0)
	f, witnesses := n.followers(reign), n.nonVoters()
	left, right, bridge := []*harness.Server{reign.Leader, witnesses[0]}, []*harness.Server{f[0], witnesses[1]}, f[1]
	n.must(nemesis.Split(n, sids(left), sids(right), fault.All))
	n.await(n.load, some, append(left, bridge))
	n.lasting(2 * time.Second) // several elections
	if now := n.reign(append(left, bridge), 0); now != reign {
		n.t.Errorf("%v led, now %v", reign, now)
	}
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
// or show what the new leader acknowledged.
func (n *networkRun) leaderWithNonVoters() {
	old := n.reign(n.all, 0)
	voters := n.followers(old)
	stranded := n.without(voters...)
	n.must(nemesis.Split(n, sids(stranded), sids(voters), fault.All))
	var asking sync.WaitGroup
	defer asking.Wait()
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
	for _, s := range stranded {
		asking.Go(func() { ask(s, time.Second) })
	}
	asking.Wait()
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
