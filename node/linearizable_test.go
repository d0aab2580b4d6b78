package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func TestLinearizable_ShowsWhatWasAcknowledgedAnywhereBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(5 * time.Millisecond)
		defer f.SetLatency(0)
		missed := 0
		for i := range 20 {
			from, to := f.Nodes()[i%4], f.Nodes()[(i+1)%4]
			want := fmt.Sprint("player-", i) + "@c1"
			must(t, from.Add(ctx, "world", fmt.Sprint("player-", i), "c1"))
			if !slices.Contains(members(t, ctx, to, "world", node.Stale()), want) {
				missed++
			}
			if got := members(t, ctx, to, "world", node.Linearizable()); !slices.Contains(got, want) {
				t.Errorf("%s at %s: %v", want, to.Self().SID, got)
			}
		}
		if missed == 0 {
			t.Error("stale reads were as good: the test shows nothing")
		}
	})
}

func TestLinearizable_WithoutAQuorumFailsByItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx)
		var others []string
		for _, n := range f.Nodes() {
			if sid := n.Self().SID; n != leader && sid != "c4" {
				others = append(others, sid)
			}
		}
		must(t, leader.Add(ctx, "world", "alice", "c1"))
		f.Kill(others...)
		read := func(n *node.Node, d time.Duration) error {
			return timed(t, ctx, d, func(ctx context.Context) error {
				_, err := n.Members(ctx, "world", node.Linearizable())
				return err
			})
		}
		for _, n := range []*node.Node{leader, f.Node("c4")} {
			err := read(n, 50*time.Millisecond) // the old leader is still known
			wantOccasion(t, err, node.ErrReplicaBehind, context.DeadlineExceeded)
			if errors.Is(err, node.ErrNoLeader) {
				t.Errorf("%v, but a leader is known", err)
			}
		}
		f.Eventually(ctx, func() error {
			if leader.Status().LeaderNodeID != "" || f.Node("c4").Status().LeaderNodeID != "" {
				return errors.New("a leader is known")
			}
			return nil
		})
		for _, n := range []*node.Node{leader, f.Node("c4")} {
			wantOccasion(t, read(n, 50*time.Millisecond), node.ErrNoLeader, context.DeadlineExceeded)
			if got := members(t, ctx, n, "world", node.Stale()); len(got) != 1 {
				t.Errorf("stale: %v", got)
			}
		}
		// One that waits goes on as soon as there is a quorum.
		done, waits := make(chan error, 1), f.Node("c4")
		go func() { done <- read(waits, time.Minute) }()
		f.Restart(others[0])
		must(t, <-done)
	})
}

// divided is a cluster of three voters and two other replicas whose leader has just
// lost its leadership to the other side of a partition, and does not know it yet: all
// that it could ask, and that answers, are servers without a vote.
func divided(t *testing.T, ctx context.Context) (f *nodetest.Fleet, cutOff []*node.Node, rest []*node.Node) {
	t.Helper()
	cfgs := append(three(), node.Config{SID: "r1", SType: "connector", NonVoter: true}, node.Config{SID: "r2", SType: "connector", NonVoter: true})
	f = readyCluster(t, ctx, cfgs...)
	for range 20 {
		if cutOff, rest = divide(t, ctx, f); cutOff != nil {
			return f, cutOff, rest
		}
		f.Heal()
	}
	t.Fatal("leadership never went over to the other side")
	return nil, nil, nil
}

// divide is one try. It fails if what makes a follower take over does not arrive, as
// the only connection for it may be waiting for an answer, or comes late from the try before.
func divide(t *testing.T, ctx context.Context, f *nodetest.Fleet) (cutOff []*node.Node, rest []*node.Node) {
	t.Helper()
	leader := f.Leader(ctx)
	cutOff = []*node.Node{leader, f.Node("r1"), f.Node("r2")}
	for _, n := range f.Nodes() {
		if !slices.Contains(cutOff, n) {
			rest = append(rest, n)
		}
	}
	must(t, leader.Add(ctx, "world", "old", leader.Self().SID))
	f.WaitEqual(ctx)
	// The others hear the leader once more, so that one of them takes over long
	// before the leader's own time is up; it hears nothing of them any more.
	for _, from := range rest {
		for _, to := range cutOff {
			f.Cut(from.Self().SID, to.Self().SID)
		}
	}
	handing, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_ = leader.HandOver(handing) // its answer is lost
	for range 20 {
		if slices.ContainsFunc(rest, leads) && leads(leader) {
			return cutOff, rest
		}
		pause(ctx, 5*time.Millisecond)
	}
	return nil, nil
}

// leads by its own account.
func leads(n *node.Node) bool {
	s := n.Status()
	return s.LeaderNodeID == s.NodeID
}

func TestLinearizable_AnOldLeaderWithNonVotersShowsNothingOld(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, cutOff, rest := divided(t, ctx)
		old := cutOff[0]
		sid := rest[0].Self().SID
		must(t, rest[0].Add(ctx, "world", "new", sid))
		if !leads(old) {
			t.Fatalf("the old leader knew before there was anything to miss: %+v", old.Status())
		}
		var wg sync.WaitGroup
		for _, n := range cutOff {
			for _, d := range []time.Duration{20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second} {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(ctx, d)
					defer cancel()
					seq, err := n.Members(ctx, "world", node.Linearizable())
					if err != nil {
						wantOccasion(t, err, context.DeadlineExceeded)
						return
					}
					t.Errorf("%s read %v without a majority", n.Self().SID, slices.Collect(seq))
				})
			}
			wg.Go(func() { // until the heal
				if got := members(t, ctx, n, "world", node.Linearizable()); !slices.Contains(got, "last@"+sid) {
					t.Errorf("%s read %v after the heal", n.Self().SID, got)
				}
			})
		}
		for i := range 40 { // writes, and reads, go on at the other side
			uid := fmt.Sprint("player-", i)
			must(t, rest[i%2].Add(ctx, "world", uid, sid))
			if got := members(t, ctx, rest[(i+1)%2], "world", node.Linearizable()); !slices.Contains(got, uid+"@"+sid) {
				t.Errorf("%s is missing in %v", uid, got)
			}
			pause(ctx, 100*time.Millisecond)
		}
		must(t, rest[0].Add(ctx, "world", "last", sid))
		f.Heal()
		wg.Wait()
	})
}

// pause is time for other goroutines of a bubble.
func TestLinearizable_GoesOnOverAChangeOfLeaders(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, append(four(), server("c5", "connector"))...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		leader := f.Leader(ctx).Self().SID
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		f.Kill(leader)
		var wg sync.WaitGroup
		for _, n := range f.Nodes() {
			for range 20 {
				wg.Go(func() {
					began := time.Now()
					if got := members(t, ctx, n, "world", node.Linearizable()); !slices.Contains(got, "alice@c4") {
						t.Errorf("%s: %v", n.Self().SID, got)
					}
					if took := time.Since(began); took > 3500*time.Millisecond {
						t.Errorf("%s: took %v", n.Self().SID, took)
					}
				})
			}
		}
		wg.Wait()
	})
}

func TestLinearizable_WaitsForReady(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfg := server("c1", "connector")
		cfg.Expect, cfg.Join = 2, []string{"10.0.0.1:7400", "10.0.0.2:7400"}
		other := server("c2", "connector")
		other.Expect, other.Join = cfg.Expect, cfg.Join
		f := nodetest.Cluster(t, cfg)
		n := f.Node("c1")
		err := timed(t, ctx, time.Second, func(ctx context.Context) error {
			_, err := n.Members(ctx, "world", node.Linearizable())
			return err
		})
		wantOccasion(t, err, node.ErrNoLeader, context.DeadlineExceeded)
		done := make(chan error, 1)
		go func() {
			_, err := n.Members(ctx, "world", node.Linearizable())
			done <- err
		}()
		f.Start(other)
		must(t, <-done)
		if !n.Status().Ready {
			t.Error("it did not wait for ready")
		}
	})
}

func TestLinearizable_EndsWithTheNode(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		f.Isolate("c4")
		done := make(chan error, 1)
		go func() {
			_, err := n.Members(ctx, "world", node.Linearizable())
			done <- err
		}()
		pause(ctx, 2*time.Second)
		_ = n.Close()
		if err := <-done; !errors.Is(err, node.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}
