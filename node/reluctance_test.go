package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// givesUp makes the leader one that should not lead, and checks that it hands over by
// itself, is not elected again while somebody else can be, and is when mended.
func givesUp(t *testing.T, ctx context.Context, spoil func(*nodetest.Fleet, *node.Node) (says string, mend func())) {
	t.Helper()
	f := readyCluster(t, ctx, three()...)
	f.SetLatency(time.Millisecond)
	defer f.SetLatency(0)
	bad := f.Leader(ctx)
	sid := bad.Self().SID
	good := follower(t, ctx, f)
	third := follower(t, ctx, f, good.Self().SID)
	settle(ctx)
	want, mend := spoil(f, bad)
	began := time.Now()
	led := func(by ...*node.Node) error {
		l := f.Leader(ctx)
		for _, n := range by {
			if l == n {
				return nil
			}
		}
		return fmt.Errorf("%s leads", l.Self().SID)
	}
	f.Eventually(ctx, func() error { return led(good, third) })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("leadership elsewhere after %v", took)
	}
	if err := says(fmt.Errorf("%s", bad.Status().Problem), want); err != nil {
		t.Error(err)
	}
	// Neither an election nor a wish makes it the leader again.
	for range 3 {
		leader := f.Leader(ctx)
		must(t, leader.HandOver(ctx))
		if err := led(good, third); err != nil {
			t.Errorf("after a handing over: %v", err)
		}
	}
	gone := f.Leader(ctx)
	must(t, gone.Add(ctx, "world", "bob", sid))
	if bad.Err() == nil {
		f.WaitEqual(ctx)
	} else { // its replica stands still; the other one's does not
		members(t, ctx, good, "world", node.AtLeast(gone.Index()))
		members(t, ctx, third, "world", node.AtLeast(gone.Index()))
	}
	// Or it may have what the other one lacks, and then has to be elected. What the states
	// don't show counts too: an entry of somebody's question that is on its way.
	f.Eventually(ctx, func() error {
		if a, b, c := good.LastIndex(), third.LastIndex(), bad.LastIndex(); a != b || b != c {
			return fmt.Errorf("logs end at %d, %d and %d", a, b, c)
		}
		return nil
	})
	f.Kill(gone.Self().SID)
	f.Eventually(ctx, func() error {
		if f.Leader(ctx) == bad {
			t.Error("elected again, though another one could be")
		}
		return led(good, third)
	})
	if f.Leader(ctx) == gone {
		t.Fatal("the dead lead")
	}
	must(t, f.Leader(ctx).Add(ctx, "world", "alice", sid)) // with the bad one's store and vote
	if mend == nil {
		return
	}
	mend()
	f.Eventually(ctx, func() error {
		if ok, reason := bad.MayLead(); !ok {
			return fmt.Errorf("%s", reason)
		}
		return nil
	})
	must(t, f.Leader(ctx).HandOver(ctx))
	f.Eventually(ctx, func() error { return led(bad) })
}

func TestReluctance_NearlyFullLeaderGivesUpUntilThereIsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		givesUp(t, ctx, func(f *nodetest.Fleet, n *node.Node) (string, func()) {
			return "the disk is nearly full: 50 MiB are free", f.FillDisk(n.Self().SID, 50<<20)
		})
	})
}

func TestReluctance_LeaderWhoseDiskHungForAWhileGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		givesUp(t, ctx, func(f *nodetest.Fleet, n *node.Node) (string, func()) {
			resume := f.StallDisk(n.Self().SID)
			go func() { _ = n.Add(ctx, "world", "bob", n.Self().SID) }() // meets it
			pause(ctx, 3500*time.Millisecond)                            // it is silent, and nobody is elected yet
			if err := says(n.Err(), "has not returned since"); err != nil {
				t.Error(err)
			}
			resume()
			return "the disk stalled: writing to memory took 3.", func() {}
		})
	})
}

func TestReluctance_LeaderThatCannotWriteASnapshotGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		givesUp(t, ctx, func(f *nodetest.Fleet, n *node.Node) (string, func()) {
			repair := f.FailDisk(n.Self().SID, nodetest.SnapshotData)
			n.Compact()
			if n.Err() != nil {
				t.Errorf("a snapshot that fails is no end: %v", n.Err())
			}
			return "no snapshot could be written: beginning a snapshot in memory: input/output error", func() {
				repair()
				n.Compact()
			}
		})
	})
}

// There is nobody else.
func TestReluctance_SoleVoterGoesOnLeading(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		defer f.FillDisk("c1", 1<<20)()
		f.Eventually(ctx, func() error {
			return says(fmt.Errorf("%s", f.Node("c1").Status().Problem), "nearly full")
		})
		pause(ctx, time.Minute)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
		f.Kill("c1")
		must(t, f.Restart("c1").Ready(ctx))
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
	})
}

// A leader that may run out of room is better than none, once the others had their
// chance; and it goes as soon as one of them is back.
func TestReluctance_EndsWhereNobodyElseCanBeElected(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		leader := f.Leader(ctx)
		for _, n := range f.Nodes() {
			if n != leader {
				defer f.FillDisk(n.Self().SID, 10<<20)()
			}
		}
		f.Eventually(ctx, func() error {
			for _, n := range f.Nodes() {
				if ok, _ := n.MayLead(); ok != (n == leader) {
					return fmt.Errorf("%s may lead: %v", n.Self().SID, ok)
				}
			}
			return nil
		})
		f.Kill(leader.Self().SID)
		began := time.Now()
		f.Eventually(ctx, func() error {
			if l := f.Leader(ctx); l == leader {
				return fmt.Errorf("the dead lead")
			}
			return nil
		})
		if took := time.Since(began); took < 4*time.Second || took > 10*time.Second {
			t.Errorf("a leader after %v; it should leave it to others for a while, and not for ever", took)
		}
		back := f.Restart(leader.Self().SID)
		f.Eventually(ctx, func() error {
			if l := f.Leader(ctx); l != back {
				return fmt.Errorf("%s leads", l.Self().SID)
			}
			return nil
		})
	})
}
