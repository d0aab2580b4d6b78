package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// A leader whose state has halted went on to append every batch, over and over: each
// was of unknown fate, though nothing will ever come of it there, and the log grew
// by every repetition. Here nobody else is any better.
func TestHalted_LeaderAppendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		other := follower(t, ctx, f)
		must(t, other.Add(ctx, "w", "alice", other.Self().SID))
		settle(ctx)
		for _, n := range f.Nodes() {
			n.Halt()
		}
		leader := f.Leader(ctx)
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
		if now := f.Leader(ctx); now != leader {
			t.Errorf("%s leads, and is no better", now.Self().SID)
		}
	})
}

// A halted state can be told only by who understands the entry: another one leads,
// and the halted one goes on to store and to vote, but is not elected again while
// anybody else can be.
func TestHalted_LeaderGivesUpAndIsNotElectedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		givesUp(t, ctx, func(_ *nodetest.Fleet, n *node.Node) (string, func()) {
			n.Halt()
			return "halted", nil
		})
	})
}

// It has an entry that the others lack, and so they cannot be elected without it: it
// leads for as long as it takes to hand that on.
func TestHalted_HandsOnWhatOnlyItHas(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		sid := leader.Self().SID
		other := follower(t, ctx, f)
		third := follower(t, ctx, f, other.Self().SID)
		settle(ctx)
		f.Isolate(other.Self().SID)
		must(t, leader.Add(ctx, "w", "alice", sid)) // on it and the third
		members(t, ctx, third, "w", node.AtLeast(leader.Index()))
		f.Kill(third.Self().SID)
		leader.Halt()
		f.Heal()
		f.Eventually(ctx, func() error {
			if l := f.Leader(ctx); l != other {
				return fmt.Errorf("%s leads", l.Self().SID)
			}
			return nil
		})
		must(t, other.Add(ctx, "w", "bob", other.Self().SID))
		if got := members(t, ctx, other, "w"); len(got) != 2 {
			t.Errorf("%v", got)
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
