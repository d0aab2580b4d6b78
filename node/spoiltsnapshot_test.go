package node_test

import (
	"context"
	"fmt"
	"testing"

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
