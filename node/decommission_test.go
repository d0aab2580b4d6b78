package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// Each of two leaves enough voters, both together do not. The first change waits in
// Raft for the leader's disk while the second is decided.
func TestDecommission_OfTwoWhileTheLeadersDiskIsSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 5)...)
		untilVoters(t, ctx, f, "c1", "c2", "c3", "c4", "c5")
		leader := f.Leader(ctx)
		others := slices.DeleteFunc(f.Nodes(), func(n *node.Node) bool { return n == leader })
		slices.SortFunc(others, func(a, b *node.Node) int { return strings.Compare(a.Self().NodeID, b.Self().NodeID) })
		must(t, others[0].Decommission(ctx))
		if got := votes(t, ctx, f); got != 4 {
			t.Fatalf("%d voters", got)
		}
		resume := f.StallDisk(leader.Self().SID, nodetest.LogWrites)
		done := make(chan error, 2)
		for _, n := range others[1:3] {
			go func() { done <- n.Decommission(ctx) }()
			pause(ctx, 50*time.Millisecond)
		}
		pause(ctx, 2400*time.Millisecond)
		resume()
		least := 4
		for range 300 {
			pause(ctx, 10*time.Millisecond)
			voters := 0
			for _, votes := range node.Configured(leader) {
				if votes {
					voters++
				}
			}
			least = min(least, voters)
		}
		if least < 3 {
			t.Errorf("%d voters were left of at least 3", least)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Log(err)
			}
		}
	})
}

// Cut off between the withdrawal and the goodbye.
func TestDecommission_ThatWasCutOffSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 4)...)
		pause(ctx, 10*time.Second)
		f.SetLatency(20 * time.Millisecond)
		defer f.SetLatency(0)
		n := f.Node("c4") // replica
		leader := f.Leader(ctx)
		id := n.Self().NodeID
		go func() {
			for !n.IsClosing() {
				pause(ctx, time.Millisecond)
			}
			f.Isolate("c4")
		}()
		err := n.Decommission(ctx)
		f.Heal()
		pause(ctx, time.Minute)
		_, there := node.Configured(leader)[id]
		if err == nil && there {
			t.Errorf("Decommission returned nil, but the server is still in the configuration")
		}
	})
}

// A leader that forgot the wish with the vote would give that back before the goodbye.
func TestDecommission_VoteDoesNotComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 5)...)
		untilVoters(t, ctx, f, "c1", "c2", "c3", "c4", "c5")
		leader, n := f.Leader(ctx), follower(t, ctx, f)
		id := n.Self().NodeID
		f.SetLatency(100 * time.Millisecond)
		defer f.SetLatency(0)
		stop := make(chan struct{})
		said := make(chan string, 1)
		go func() {
			was, s := true, ""
			for {
				select {
				case <-stop:
					said <- s
					return
				case <-time.After(time.Millisecond):
				}
				v, ok := node.Configured(leader)[id]
				if v != was {
					was = v
					s += fmt.Sprintf(" vote=%v(there=%v)", v, ok)
				}
			}
		}()
		err := n.Decommission(ctx)
		close(stop)
		s := <-said
		t.Log(err, s)
		if s != " vote=false(there=true)" {
			t.Errorf("the vote went to and fro: %s", s)
		}
	})
}
