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
)

// spoiled is a cluster of four in which one has mallory where the others have mallorx.
func spoiled(t *testing.T, ctx context.Context, which func(*nodetest.Fleet) *node.Node) (*nodetest.Fleet, *node.Node) {
	t.Helper()
	f := readyCluster(t, ctx, four()...)
	must(t, f.Node("c1").Add(ctx, "world", "mallory", "c1"))
	must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
	f.WaitEqual(ctx)
	settle(ctx)
	bad := which(f)
	must(t, bad.Spoil("mallory", "mallorx"))
	return f, bad
}

func saying(n *node.Node, parts ...string) error {
	problem := n.Status().Problem
	for _, p := range parts {
		if !strings.Contains(problem, p) {
			return fmt.Errorf("%s says %q, want %q in it", n.Self().SID, problem, p)
		}
	}
	return nil
}

func wantHalted(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, node.ErrHalted) {
		t.Errorf("error %v, want %v", err, node.ErrHalted)
	}
}

func TestAudit_FindsAFollowerThatDiffers(t *testing.T) {
	for _, sid := range []string{"c4", "a voter"} {
		t.Run(sid, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f, bad := spoiled(t, ctx, func(f *nodetest.Fleet) *node.Node {
					if sid == "c4" {
						return f.Node(sid)
					}
					return follower(t, ctx, f, "c4")
				})
				leader := f.Leader(ctx)
				began := time.Now()
				f.Eventually(ctx, func() error {
					return errors.Join(saying(leader, "the state of "+bad.Self().SID, "differs from that of a majority of voters"),
						saying(bad, "halted", "the state of "+bad.Self().SID))
				})
				if took := time.Since(began); took > 2*time.Minute {
					t.Errorf("found after %v", took)
				}
				// It answers nobody and does not lead; the others go on.
				for _, o := range [][]node.ReadOption{nil, {node.Stale()}, {node.Linearizable()}} {
					_, err := bad.Members(ctx, "world", o...)
					wantHalted(t, err)
				}
				wantHalted(t, bad.Err())
				if ok, _ := bad.MayLead(); ok {
					t.Error("it may lead")
				}
				for _, n := range f.Nodes() {
					must(t, n.Add(ctx, "world", "bob", "c1")) // on the bad one too: the leader decides
					if n == bad {
						continue
					}
					if _, err := n.Members(ctx, "world"); err != nil || n != leader && n.Status().Problem != "" {
						t.Errorf("%s: error %v, problem %q", n.Self().SID, err, n.Status().Problem)
					}
				}
				if f.Leader(ctx) != leader {
					t.Error("another one leads")
				}
			})
		})
	}
}

func TestAudit_LeaderThatDiffersHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, bad := spoiled(t, ctx, func(f *nodetest.Fleet) *node.Node { return f.Leader(ctx) })
		f.Eventually(ctx, func() error {
			if f.Leader(ctx) == bad {
				return errors.New("it leads still")
			}
			return saying(bad, "halted", "the state of "+bad.Self().SID)
		})
		// The next leader finds it too, and goes on.
		f.Eventually(ctx, func() error { return saying(f.Leader(ctx), "the state of "+bad.Self().SID) })
		_, err := bad.Members(ctx, "world")
		wantHalted(t, err)
		good := f.Leader(ctx)
		must(t, good.Add(ctx, "world", "bob", "c1"))
		if got := members(t, ctx, good, "world"); strings.Join(got, " ") != "alice@c1 bob@c1 mallory@c1" {
			t.Errorf("members %v", got)
		}
	})
}

// Nobody knows which is right, so nobody stops, and all say so.
func TestAudit_WithoutAMajorityAllSaySo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		must(t, f.Node("c1").Add(ctx, "world", "mallory", "c1"))
		f.WaitEqual(ctx)
		settle(ctx)
		must(t, f.Node("c1").Spoil("mallory", "mallorx"))
		must(t, f.Node("c2").Spoil("mallory", "mallorz"))
		f.Eventually(ctx, func() error {
			for _, n := range f.Nodes() {
				if err := saying(n, "a majority of voters holds none of them", "c1 (", "c2 ("); err != nil {
					return err
				}
			}
			return nil
		})
		for _, n := range f.Nodes() {
			if _, err := n.Members(ctx, "world"); err != nil {
				t.Errorf("%s: %v", n.Self().SID, err)
			}
			if ok, why := n.MayLead(); !ok {
				t.Errorf("%s may not lead: %s", n.Self().SID, why)
			}
		}
	})
}

// A cluster whose servers are right never says otherwise, whatever happens in it.
func TestAudit_FindsNothingInAGoodCluster(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		load, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; load.Err() == nil; i++ {
				_ = f.Node("c4").Add(load, fmt.Sprint("channel", i%7), fmt.Sprint("user", i%50), "c4")
				_ = f.Node("c4").Leave(load, fmt.Sprint("channel", i%5), fmt.Sprint("user", i%50), "c4")
				pause(load, 100*time.Millisecond)
			}
		}()
		quiet := func(while string) {
			for _, n := range f.Nodes() {
				if problem := n.Status().Problem; strings.Contains(problem, "differ") || errors.Is(n.Err(), node.ErrHalted) {
					t.Errorf("%s, while %s: %s", n.Self().SID, while, problem)
				}
			}
		}
		compared := func(while string) {
			t.Helper()
			before := f.Node("c4").Compared()
			f.Eventually(ctx, func() error {
				quiet(while)
				if f.Node("c4").Compared() <= before {
					return errors.New("not compared again")
				}
				return nil
			})
		}
		compared("nothing happens")
		f.Start(node.Config{SID: "c5", SType: "connector", NonVoter: true})
		compared("one joins")
		restarted := f.Leader(ctx).Self().SID
		if restarted == "c4" {
			t.Fatal("a replica leads")
		}
		f.Kill(restarted)
		f.Restart(restarted)
		compared("the leader restarts")
		must(t, f.Node("c5").Close())
		compared("one leaves")
		stop()
		<-done
		f.WaitEqual(ctx)
	})
}

// An idle cluster writes nothing into its log.
func TestAudit_RestsWhileNothingIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		f.Eventually(ctx, func() error {
			if leader.Compared() == 0 {
				return errors.New("not compared")
			}
			return nil
		})
		at := leader.LastIndex()
		pause(ctx, 2*time.Minute)
		if now := leader.LastIndex(); now != at {
			t.Errorf("the log grew from %d to %d", at, now)
		}
	})
}
