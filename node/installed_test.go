package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// A follower that was away for long gets the leader's snapshot, and behind it what
// came since. With BoltDB its next start was refused: the file was said to be damaged.
func TestLoopback_ServerThatGotASnapshotStartsAgain(t *testing.T) {
	t.Parallel()
	onDisk(t, startsAgainAfterASnapshot)
}

func startsAgainAfterASnapshot(t *testing.T, store node.LogStore) {
	ctx := within(t)
	cfgs := onLoopback(t)
	var nodes []*node.Node
	cfgs[0].LogStore = store // a WAL still hands out what was cut off its newest segment: nobody then needs a snapshot
	for _, cfg := range cfgs {
		nodes = append(nodes, start(t, cfg))
	}
	for _, n := range nodes {
		must(t, n.Ready(ctx))
	}
	others := nodes[1:]
	must(t, nodes[0].Close())
	// The log is cut off where the older of two snapshots ends.
	for i := range 4 {
		for j := range 5 {
			must(t, others[0].Add(ctx, "world", fmt.Sprint("player-", i, "-", j), others[0].Self().SID))
		}
		caughtUp(t, ctx, others[0], others[1])
		for _, n := range others {
			n.Compact()
		}
	}
	for range 2 {
		n := start(t, cfgs[0])
		must(t, n.Ready(ctx))
		must(t, n.Add(ctx, "world", "back", n.Self().SID))
		if got := members(t, ctx, n, "world"); len(got) != 21 {
			t.Errorf("%d members, want 21: %v", len(got), got)
		}
		must(t, n.Close())
		if got, err := os.ReadDir(filepath.Join(cfgs[0].DataDir, "snapshots")); err != nil || len(got) == 0 {
			t.Fatalf("%v: it got %d snapshots; the test shows nothing", err, len(got))
		}
	}
}
