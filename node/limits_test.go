package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// wantLimits waits until every server shows them.
func wantLimits(t *testing.T, ctx context.Context, f *nodetest.Fleet, want node.Limits) {
	t.Helper()
	f.Eventually(ctx, func() error {
		for _, n := range f.Nodes() {
			r, err := client(t, ctx, f, n.Self().SID).GetSettings(ctx, &pb.GetSettingsRequest{})
			if err != nil {
				return err
			}
			s := r.GetSettings()
			got := node.Limits{Members: int(s.GetMaxMembers()), Channels: int(s.GetMaxChannels()), Servers: int(s.GetMaxServers())}
			if got != want {
				return fmt.Errorf("%s tells %+v", n.Self().SID, got)
			}
		}
		return nil
	})
}

func TestSetSettings_LimitTheStateForAllServers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		limits := node.Limits{Members: 3, Channels: 2}
		must(t, f.Node("c4").SetSettings(ctx, node.Settings{Limits: limits}))
		wantLimits(t, ctx, f, limits)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
		must(t, f.Node("c4").Add(ctx, "guild", "alice", "c1"))
		for _, n := range f.Nodes() {
			wantError(t, n.Add(ctx, "team", "alice", "c1"), node.ErrLimit, node.ErrRejected)
			must(t, n.Add(ctx, "world", "alice", "c1"))
			_, err := n.Apply(ctx, append(node.AddOps("world", "c2", "bob", "carol"), node.Op{Kind: node.OpDestroy, Name: "world"})...)
			wantError(t, err, node.ErrLimit, node.ErrAborted)
			var refused *node.OpError
			if !errors.As(err, &refused) || refused.I != 1 {
				t.Errorf("%v, want ops[1] refused", err)
			}
			_, err = client(t, ctx, f, n.Self().SID).Add(ctx, &pb.AddRequest{Name: "team", Uid: "alice", Sid: "c1"})
			wantError(t, node.FromStatus(err), node.ErrLimit, node.ErrRejected)
		}
		must(t, f.Node("c2").Add(ctx, "world", "bob", "c2"))
		wantError(t, f.Node("c2").Add(ctx, "world", "carol", "c2"), node.ErrLimit)
		f.WaitEqual(ctx)
	})
}

func TestReady_RefusesAServerBeyondTheLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		must(t, f.Node("c1").SetSettings(ctx, node.Settings{Limits: node.Limits{Servers: 3}}))
		n := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		err := n.Ready(ctx)
		wantError(t, err, node.ErrRefused, node.ErrLimit)
		if !strings.Contains(err.Error(), "as many servers are up as the cluster's settings allow") {
			t.Errorf("%v", err)
		}
		must(t, n.Close())
		f.Kill("c3")
		must(t, f.Restart("c3").Ready(ctx)) // in its own place
		must(t, f.Node("c3").Close())
		must(t, f.Restart("c4").Ready(ctx))
	})
}

// Limits of Config.Cluster count as soon as every server is known to understand them.
func TestConfig_LimitsOfTheFoundingCount(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		limits := node.Limits{Members: 2, Channels: 1, Servers: 5}
		cfgs := four()
		for i := range cfgs {
			cfgs[i].Cluster.Limits = limits
		}
		f := readyCluster(t, ctx, cfgs...)
		wantLimits(t, ctx, f, limits)
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c1"))
		wantError(t, f.Node("c4").Add(ctx, "guild", "alice", "c1"), node.ErrLimit)
		// They are not brought back after somebody has changed them.
		must(t, f.Node("c1").SetSettings(ctx, node.Settings{}))
		old := f.Leader(ctx).Self().SID
		f.Kill(old)
		f.Restart(old)
		f.WaitReady(ctx)
		settle(ctx)
		wantLimits(t, ctx, f, node.Limits{})
		must(t, f.Node("c4").Add(ctx, "guild", "alice", "c1"))
	})
}

// A server that has not answered might be of a version that would halt at them.
func TestSetSettings_LimitsNeedTheLevel(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := nodetest.Cluster(t, four()...)
		f.SetLatency(50 * time.Millisecond) // the leader is there before anybody has answered it
		for f.Node("c1").Status().LeaderNodeID == "" {
			pause(ctx, time.Millisecond)
		}
		silent := "c3"
		if f.Node("c1").Status().LeaderNodeID == f.Node("c3").Self().NodeID {
			silent = "c2"
		}
		f.Isolate(silent)
		n := f.Node("c4")
		must(t, n.Ready(ctx))
		settings := node.Settings{Limits: node.Limits{Members: 1}}
		err := n.SetSettings(ctx, settings)
		wantError(t, err, node.ErrUnsupported)
		if !strings.Contains(err.Error(), "it needs feature level 4, and the cluster is at 2") {
			t.Errorf("%v", err)
		}
		f.SetLatency(0)
		f.Heal()
		setSettings(t, ctx, f, n, settings)
		f.WaitEqual(ctx)
	})
}
