package nodetest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// inFleet runs a test on three ready servers in a bubble; leader and follower are
// two of them.
func inFleet(t *testing.T, test func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx := limit(t)
		f := nodetest.Cluster(t, three()...)
		f.WaitReady(ctx)
		f.WaitEqual(ctx)
		leader := f.Leader(ctx)
		followers := slices.DeleteFunc(f.Nodes(), func(n *node.Node) bool { return n == leader })
		test(ctx, f, leader, followers[0])
	})
}

// has reports whether uid is a member in that node's replica as it is.
func has(t *testing.T, ctx context.Context, n *node.Node, uid string) bool {
	t.Helper()
	uids, err := n.MembersBySID(ctx, "world", "chat-1", node.Stale())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(uids, uid)
}

func TestStallDisk_OfTheLeaderHoldsWritesUntilResume(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		resume := f.StallDisk(leader.Self().SID)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := follower.Add(short, "world", "alice", "chat-1"); !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("add: %v", err)
		}
		if has(t, ctx, leader, "alice") || has(t, ctx, follower, "alice") {
			t.Error("it took effect while the disk was stalled")
		}
		resume()
		f.Eventually(ctx, func() error {
			if !has(t, ctx, leader, "alice") || !has(t, ctx, follower, "alice") {
				return errors.New("it does not take effect after resume")
			}
			return nil
		})
		resume() // harmless
		if err := follower.Add(ctx, "world", "bob", "chat-1"); err != nil {
			t.Error(err)
		}
	})
}

func TestStallDisk_OfAFollowerHoldsUpNobodyElse(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		resume := f.StallDisk(follower.Self().SID)
		if err := leader.Add(ctx, "world", "alice", "chat-1"); err != nil {
			t.Error(err)
		}
		<-time.After(5 * time.Second) // of the bubble: more than any time-out of Raft's
		if has(t, ctx, follower, "alice") {
			t.Error("the follower has what its disk has not")
		}
		resume()
		f.Eventually(ctx, func() error {
			if !has(t, ctx, follower, "alice") {
				return errors.New("the follower does not catch up")
			}
			return nil
		})
	})
}

func TestStallDisk_EndsWithAKill(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		sid := leader.Self().SID
		resume := f.StallDisk(sid)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := leader.Add(short, "world", "alice", sid); !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("add: %v", err)
		}
		f.Kill(sid)
		f.Restart(sid)
		f.WaitReady(ctx)
		f.StallDisk(sid)() // the new process's own stall
		resume()           // of the old one
		if err := f.Node(sid).Add(ctx, "world", "bob", "chat-1"); err != nil {
			t.Error(err)
		}
		f.WaitEqual(ctx)
	})
}

// The end of the test is what this test is about: it must come.
func TestStallDisk_EndsWithTheTest(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		f.StallDisk(leader.Self().SID)
		f.StallDisk(follower.Self().SID)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := leader.Add(short, "world", "alice", "chat-1"); !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("add: %v", err)
		}
	})
}

func TestStallDisk_WorksInRealTime(t *testing.T) {
	ctx := limit(t)
	f := nodetest.Cluster(t, three()...)
	f.WaitReady(ctx)
	for again := true; again; {
		leader := f.Leader(ctx)
		before := leader.Status()
		resume := f.StallDisk(leader.Self().SID)
		added := make(chan error, 1)
		go func() { added <- leader.Add(ctx, "world", "alice", "chat-1") }()
		again = false
		select {
		case err := <-added:
			added <- err
			now := leader.Status()
			if again = now.Term != before.Term || now.LeaderNodeID != before.NodeID; !again {
				t.Errorf("acknowledged without a disk: %v", err)
			} // else another one led before the write, and has a disk
		case <-time.After(100 * time.Millisecond):
		}
		resume()
		if err := <-added; err != nil {
			t.Error(err)
		}
	}
}
