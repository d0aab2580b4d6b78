package nodetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func TestSetWeather_IsOfOneWayUntilHeal(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		adds := func(uid string) time.Duration {
			t.Helper()
			begun := time.Now()
			if err := follower.Add(ctx, "world", uid, "chat-1"); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		const delay = 300 * time.Millisecond // no reason yet to elect another leader
		usual := adds("alice")
		f.SetWeather(leader.Self().SID, follower.Self().SID, nodetest.Weather{Delay: delay})
		if slow := adds("bob"); slow < delay || slow >= usual+2*delay {
			t.Errorf("took %v with %v one way, and %v without", slow, delay, usual)
		}
		f.Heal()
		adds("carol") // waits behind what was slow
		if again := adds("dave"); again >= delay {
			t.Errorf("took %v after Heal", again)
		}
	})
}

func TestSetWeather_OfEverybodyLosesNothingAcknowledged(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		f.SetSeed(1)
		f.SetWeatherEverywhere(nodetest.Weather{
			Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05, Duplicate: 0.2, Reorder: 0.2,
		})
		begun := time.Now()
		for i := range 100 {
			if err := follower.Add(ctx, "world", fmt.Sprint(i), "chat-1"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < 100*20*time.Millisecond {
			t.Errorf("100 adds took %v: what weather?", took)
		}
		f.Heal()
		f.WaitEqual(ctx)
		for _, n := range f.Nodes() {
			uids, err := n.MembersBySID(ctx, "world", "chat-1", node.Stale())
			if err != nil || len(uids) != 100 {
				t.Errorf("%s has %d members, %v", n.Self().SID, len(uids), err)
			}
		}
	})
}

func TestCutStreams_DeposesALeader(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, _ *node.Node) {
		cut(f, leader, f.CutStreams)
		f.Eventually(ctx, func() error {
			if now := f.Leader(ctx); now == leader {
				return fmt.Errorf("%s still leads", now.Self().SID)
			}
			return nil
		})
	})
}

func TestCutPackets_LeavesRaftAlone(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, follower *node.Node) {
		term := leader.Status().Term
		cut(f, leader, f.CutPackets)
		<-time.After(20 * time.Second) // of the bubble
		if err := follower.Add(ctx, "world", "alice", "chat-1"); err != nil {
			t.Error(err)
		}
		if now := leader.Status(); now.Term != term || now.LeaderNodeID != now.NodeID {
			t.Errorf("it led in term %d, now %+v", term, now)
		}
	})
}

// cut cuts what a server sends to all others.
func cut(f *nodetest.Fleet, of *node.Node, how func(from, to string)) {
	for _, n := range f.Nodes() {
		if n != of {
			how(of.Self().SID, n.Self().SID)
		}
	}
}
