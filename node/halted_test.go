package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// A leader whose state has halted went on to append every batch, over and over: each
// was of unknown fate, though nothing will ever come of it there, and the log grew
// by every repetition.
func TestHalted_LeaderAppendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		other := follower(t, ctx, f)
		must(t, other.Add(ctx, "w", "alice", other.Self().SID))
		settle(ctx)
		leader.Halt()
		before := leader.LastIndex()
		for range 5 {
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			wantError(t, other.Add(short, "w", "bob", other.Self().SID), node.ErrNotSent)
			_, err := other.Members(short, "w", node.Linearizable())
			if err == nil {
				t.Error("a leader whose state has halted gave a read index")
			}
			cancel()
		}
		if after := leader.LastIndex(); after != before {
			t.Errorf("the log grew from %d to %d", before, after)
		}
	})
}

// Its goodbye is for another leader to commit.
func TestClose_EndsTheLifeOfAHaltedLeader(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		other := follower(t, ctx, f)
		sid := leader.Self().SID
		must(t, other.Add(ctx, "w", "alice", sid))
		settle(ctx)
		leader.Halt()
		must(t, leader.Close())
		gone(t, ctx, f, sid)
		must(t, other.Add(ctx, "w", "bob", other.Self().SID))
	})
}
