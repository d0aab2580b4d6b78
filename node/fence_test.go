package node_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

func TestNode_WhoseLifeWasDeclaredOverStopsActing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		must(t, f.Leader(ctx).EndLife(ctx, "c4", n.Self().Epoch))
		select {
		case <-n.Done():
		case <-ctx.Done():
			t.Fatal("not done")
		}
		if !errors.Is(n.Err(), node.ErrFenced) || n.Status().Ready || n.Status().Problem == "" {
			t.Errorf("err %v, status %+v", n.Err(), n.Status())
		}
		wantError(t, n.Add(ctx, "world", "bob", "c4"), node.ErrFenced, node.ErrRejected)
		everywhere(t, ctx, f, "world")
		must(t, n.Close())
		must(t, f.Restart("c4").Ready(ctx))
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		everywhere(t, ctx, f, "world", "alice@c4")
	})
}

func TestNode_WriteOfALifeThatIsOverIsFencedBeforeItsReplicaKnows(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		leader := f.Leader(ctx)
		f.Cut(leader.Self().SID, "c4") // its replica stands still, and so do answers
		must(t, leader.EndLife(ctx, "c4", n.Self().Epoch))
		done := make(chan error, 1)
		go func() { done <- n.Add(ctx, "world", "alice", "c1") }()
		f.Heal()
		wantError(t, <-done, node.ErrFenced, node.ErrRejected)
		everywhere(t, ctx, f, "world")
	})
}

func TestAttach_StreamEndsWhenItsLifeIsDeclaredOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		must(t, f.Leader(ctx).EndLife(ctx, "remote-1", a.life.GetEpoch()))
		_, err := a.stream.Recv()
		wantError(t, node.FromStatus(err), node.ErrFenced, node.ErrRejected)
		mustAttach(t, ctx, f, "c4", "remote-1")
	})
}
