package jepsen_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
)

// Servers join under load and are decommissioned, with and without a vote. Nobody of the
// others' members is lost, those vote who did before, and nothing is left of the guests.
func TestMembers_JoinAndLeave(t *testing.T) {
	t.Parallel() // it mostly waits
	r := prepare(t, 2*patience)
	network, err := switchnet.New(r.seed)
	if err != nil && !errors.Is(err, switchnet.ErrNotHere) {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the cluster
		if network != nil {
			r.must(network.Close())
		}
	})
	r.begin(harness.Options{
		Servers: append(connectors(3), harness.Spec{SID: "connector-4", SType: stype, NonVoter: true}),
		Network: network, Disks: faultfs.Able() == nil,
	})
	all := slices.Clone(r.cluster.Servers)
	r.background(r.cluster.Watch)
	l := r.load(all)
	r.await(l, phase, all)

	scene := nemesis.NewScene(nemesis.Real{Cluster: r.cluster}, rand.New(rand.NewPCG(r.seed, 0)))
	named, err := nemesis.Named("join-and-leave", "voters-join")
	r.must(err)
	for _, n := range named {
		seen, err := n.Hurt(r.ctx, scene)
		r.must(err)
		t.Log(seen)
		r.await(l, some, all)
	}

	if !slices.Equal(r.cluster.Servers, all) {
		t.Errorf("the servers are %v, and were %v", sids(r.cluster.Servers), sids(all))
	}
	if left, err := filepath.Glob(filepath.Join(r.dir, "data-guest-*")); err != nil || len(left) > 0 {
		t.Errorf("left by guests: %v, %v", left, err)
	}
	if report := r.verdict(l); report.Lives < len(all)+3 || report.Adds < 4*phase {
		t.Errorf("too little was done for the run to count: %v", report)
	}
}
