package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

func TestNode_CloseTakesItsOwnMembersEverywhereAndNobodyElses(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		for _, sid := range []string{"c3", "c4"} { // a voter and a replica
			for _, name := range []string{"world", "guild"} {
				must(t, f.Node("c1").Add(ctx, name, "alice", "c1"))
				must(t, f.Node("c1").Add(ctx, name, "bob", sid))
			}
			n := f.Node(sid)
			must(t, n.Close())
			soon, cancel := context.WithTimeout(ctx, time.Second) // PROMISES P7
			everywhere(t, soon, f, "world", "alice@c1")
			everywhere(t, soon, f, "guild", "alice@c1")
			cancel()
			wantError(t, f.Node("c1").Add(ctx, "world", "bob", sid), node.ErrServerGone, node.ErrRejected)
			must(t, f.Node("c1").Leave(ctx, "world", "bob", sid))
		}
	})
}

func TestNode_CloseOfTheLeaderHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		n := follower(t, ctx, f)
		must(t, n.Add(ctx, "world", "alice", leader.Self().SID))
		must(t, leader.Close())
		soon, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // no election timeout in between
		defer cancel()
		must(t, n.Add(soon, "world", "bob", n.Self().SID))
		everywhere(t, ctx, f, "world", "bob@"+n.Self().SID)
	})
}

func TestNode_CloseAnswersWhoIsStillWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		f.Isolate(n.Self().SID)
		answers := make(chan error, 10)
		for i := range cap(answers) {
			go func() { answers <- n.Add(ctx, "world", fmt.Sprint(i), n.Self().SID) }()
		}
		start := time.Now()
		must(t, n.Close())
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("close took %v", took)
		}
		for range cap(answers) {
			err := <-answers
			wantError(t, err, node.ErrClosed)
		}
	})
}

func TestNode_CleanOnStartUpSparesTheFleet(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := three()
		for i := range cfgs {
			cfgs[i].CleanOnStartUp = true // one shared config file
		}
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
		f.Kill("c3")
		f.Restart("c3")
		f.WaitReady(ctx)
		f.WaitEqual(ctx)
		everywhere(t, ctx, f, "world", "alice@c1")
	})
}

func TestNode_CleanOnStartUpAloneDestroysAllChannels(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfg := server("c1", "connector")
		cfg.Cluster.ExternalSIDs = true // members that no life's end removes
		f := readyCluster(t, ctx, cfg)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "external"))
		f.Kill("c1")
		must(t, f.Restart("c1").Ready(ctx))
		everywhere(t, ctx, f, "world", "alice@external")
		f.Kill("c1")
		cfg.CleanOnStartUp = true
		must(t, f.RestartWith("c1", cfg).Ready(ctx))
		everywhere(t, ctx, f, "world")
	})
}

func TestNode_SIDComesBackOnOtherHardware(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		old := f.Node("c4").Self()
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		must(t, f.Node("c4").Add(ctx, "world", "bob", "c1"))
		f.Kill("c4")
		n := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		must(t, n.Ready(ctx))
		if s := n.Self(); s.NodeID == old.NodeID || s.Addr == old.Addr || s.Epoch <= old.Epoch {
			t.Errorf("came back as %+v, was %+v", s, old)
		}
		everywhere(t, ctx, f, "world", "bob@c1") // a new life has no players
		must(t, n.Add(ctx, "world", "alice", "c4"))
		everywhere(t, ctx, f, "world", "alice@c4", "bob@c1")
	})
}

func TestNode_SecondServerUnderALiveSIDIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		first := f.Node("c4")
		n := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		err := n.Ready(ctx)
		if !errors.Is(err, node.ErrRefused) || !strings.Contains(err.Error(), "c4") {
			t.Errorf("ready: %v", err)
		}
		select {
		case <-n.Done():
		case <-ctx.Done():
			t.Fatal("not done")
		}
		if !errors.Is(n.Err(), node.ErrRefused) || n.Status().Ready {
			t.Errorf("err: %v, status %+v", n.Err(), n.Status())
		}
		wantError(t, n.Add(ctx, "world", "bob", "c4"), node.ErrNotSent, node.ErrRefused)
		if first.Err() != nil {
			t.Errorf("the first: %v", first.Err())
		}
		must(t, first.Add(ctx, "world", "bob", "c4"))
		for _, other := range []string{"c1", "c2", "c3"} {
			if got := members(t, ctx, f.Node(other), "world", node.AtLeast(first.Index())); len(got) != 2 {
				t.Errorf("%s shows %v", other, got)
			}
		}
	})
}

func TestNode_SuccessorOfASilentServerWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.Isolate("c4") // paused or cut off: nobody can tell
		n := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true, Join: []string{f.Address("c1"), f.Address("c2"), f.Address("c3")}})
		if err := timed(t, ctx, 5*time.Second, n.Ready); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready: %v", err)
		}
		if p := n.Status().Problem; !strings.Contains(p, `"c4" is held by a server`) {
			t.Errorf("problem: %q", p)
		}
	})
}

func TestNode_OldLifesAddIsRefusedAfterItsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		old := f.Node("c4").Self().Epoch
		f.Kill("c4")
		must(t, f.Restart("c4").Ready(ctx))
		op := node.Op{Kind: node.OpAdd, Name: "world", UID: "alice", SID: "c4", Epoch: old}
		_, _, err := f.Node("c1").Write(ctx, op)
		wantError(t, err, node.ErrServerGone, node.ErrRejected)
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		op.Kind = node.OpLeave
		_, _, err = f.Node("c1").Write(ctx, op) // of the old life's alice, not of this one
		wantError(t, err, node.ErrServerGone, node.ErrRejected)
		everywhere(t, ctx, f, "world", "alice@c4")
	})
}

func TestClose_TwiceAtOnceWaitsForTheOne(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		n := readyCluster(t, ctx, server("c1", "connector")).Node("c1")
		ends := make(chan error, 2)
		for range 2 {
			go func() { ends <- n.Close() }()
		}
		for range 2 {
			must(t, <-ends)
			select {
			case <-n.Done():
			default:
				t.Error("Close returned before the node had ended")
			}
		}
	})
}
