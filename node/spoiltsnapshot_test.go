package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// What TestStart_UnreadableSnapshotsAreDoneWithoutOrRefused says of files, in a cluster:
// the older snapshot, and the log behind it, are as good.
func TestSpoiltSnapshot_IsDoneWithout(t *testing.T) {
	for what, hurt := range map[string]func(*nodetest.Fleet, string) error{
		"flipped bits": func(f *nodetest.Fleet, sid string) error { return f.FlipBits(sid, nodetest.SnapshotFile) },
		"truncation":   func(f *nodetest.Fleet, sid string) error { return f.TruncateFile(sid, nodetest.SnapshotFile) },
	} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, three()...)
				n := follower(t, ctx, f)
				sid, target := n.Self().SID, f.Leader(ctx).Self().SID
				for i := range 3 {
					must(t, n.Add(ctx, "world", fmt.Sprint("uid-", i), target))
					if i < 2 {
						f.WaitEqual(ctx) // or there is nothing new to take: the leader answers first
						n.TakeSnapshot()
						f.Eventually(ctx, func() error { return enough(n.Snapshots(), i+1) })
					}
				}
				f.Kill(sid)
				must(t, hurt(f, sid))
				n = f.Restart(sid)
				f.WaitReady(ctx)
				f.WaitEqual(ctx)
				if got, err := n.MembersBySID(ctx, "world", target); err != nil || len(got) != 3 {
					t.Errorf("%v, %v", got, err)
				}
			})
		})
	}
}

// Raft sends a newcomer the newest snapshot that the leader has, and tries that one for ever.
func TestSpoiltSnapshot_OfTheLeaderKeepsNobodyOut(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		sid := n.Self().SID
		for i := range 3 { // the third has the log begin behind the first
			must(t, n.Add(ctx, "world", fmt.Sprint("uid-", i), sid))
			f.WaitEqual(ctx)
			before := f.Snapshot(sid)
			n.TakeSnapshot()
			f.Eventually(ctx, func() error { return enough(int(f.Snapshot(sid)), int(before)+1) })
		}
		f.Kill(sid)
		must(t, f.FlipBits(sid, nodetest.SnapshotFile))
		n = f.Restart(sid)
		f.WaitReady(ctx)
		f.WaitEqual(ctx)
		f.Eventually(ctx, func() error {
			leader := f.Leader(ctx)
			if leader == n {
				return nil
			}
			return fmt.Errorf("%s leads: %w", leader.Self().SID, errors.Join(errors.New("not yet"), leader.HandOver(ctx)))
		})
		guest := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		must(t, guest.Ready(ctx))
		must(t, n.Add(ctx, "world", "last", sid))
		f.WaitEqual(ctx)
		if got := members(t, ctx, guest, "world"); len(got) == 0 {
			t.Error("the newcomer knows nobody")
		}
	})
}
