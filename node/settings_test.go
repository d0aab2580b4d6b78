package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// setSettings waits for the level that has them: the leader raises it a moment after the founding.
func setSettings(t *testing.T, ctx context.Context, f *nodetest.Fleet, n *node.Node, s node.Settings) {
	t.Helper()
	f.Eventually(ctx, func() error { return n.SetSettings(ctx, s) })
}

func TestSetSettings_CountForAllServers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		var s node.Settings
		s.Limits.MessageBytes, s.ReapAfter = 1000, 20*time.Second
		setSettings(t, ctx, f, f.Node("c4"), s) // which does not lead
		_, err := f.Node("c4").PushMessage(ctx, "connector", "r", make([]byte, 1001), "world", node.PushOptions{})
		wantError(t, err, node.ErrInvalidArgument) // seen here at once
		f.WaitEqual(ctx)
		for _, n := range f.Nodes() {
			_, err := n.PushMessage(ctx, "connector", "r", make([]byte, 1001), "world", node.PushOptions{})
			wantError(t, err, node.ErrInvalidArgument)
			r, err := client(t, ctx, f, n.Self().SID).GetSettings(ctx, &pb.GetSettingsRequest{})
			must(t, err)
			if got := r.GetSettings(); got.GetMaxMessageBytes() != 1000 || got.GetReapAfterMs() != 20_000 || got.GetMaxVoters() != 5 {
				t.Errorf("%s tells %v", n.Self().SID, got)
			}
		}
		f.Kill("c1", "c2", "c3") // and survive
		for _, sid := range []string{"c1", "c2", "c3"} {
			f.Restart(sid)
		}
		f.Kill("c4")
		f.WaitReady(ctx)
		_, err = f.Node("c1").PushMessage(ctx, "connector", "r", make([]byte, 1001), "world", node.PushOptions{})
		wantError(t, err, node.ErrInvalidArgument)
	})
}

func TestSetSettings_RefusesWhatCannotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		for _, s := range []node.Settings{{MaxVoters: 10}, {ReapAfter: -time.Second}, {ReapAfter: time.Hour}, {Limits: node.Limits{MessageBytes: 5 << 20}}, {Limits: node.Limits{Channels: -1}}} {
			wantError(t, f.Node("c1").SetSettings(ctx, s), node.ErrInvalidArgument, node.ErrRejected)
		}
	})
}

// Two operators who look at the same settings do not undo each other's change.
func TestSetSettings_RefusesAWishFromBeforeTheLastChange(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		c := client(t, ctx, f, "c1")
		setSettings(t, ctx, f, f.Node("c2"), node.Settings{MaxVoters: 3})
		f.WaitEqual(ctx)
		looked, err := c.GetSettings(ctx, &pb.GetSettingsRequest{})
		must(t, err)
		first, err := c.SetSettings(ctx, &pb.SetSettingsRequest{Settings: &pb.Settings{MaxVoters: 7}, Seen: looked.GetIndex(), Id: "first"})
		must(t, err)
		_, err = c.SetSettings(ctx, &pb.SetSettingsRequest{Settings: &pb.Settings{MaxVoters: 9}, Seen: looked.GetIndex(), Id: "second"})
		refusedWith(t, node.FromStatus(err), fmt.Sprintf("changed after index %d", looked.GetIndex()))
		_, err = c.SetSettings(ctx, &pb.SetSettingsRequest{Settings: &pb.Settings{MaxVoters: 7}, Seen: looked.GetIndex(), Id: "first"}) // repeated
		must(t, err)
		f.Eventually(ctx, func() error {
			now, err := c.GetSettings(ctx, &pb.GetSettingsRequest{})
			if err == nil && (now.GetSettings().GetMaxVoters() != 7 || now.GetIndex() < first.GetIndex()) {
				err = errors.New(now.String())
			}
			return err
		})
	})
}
