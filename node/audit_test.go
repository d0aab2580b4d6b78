package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	bad.TakeSnapshot() // the wrong state is on its disk too
	f.Eventually(ctx, func() error {
		if bad.Snapshots() != 1 {
			return errors.New("no snapshot yet")
		}
		return nil
	})
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
				for n, part := range map[*node.Node]string{leader: "globalchannel_servers_differing 1\n", bad: "globalchannel_state_differs 1\n"} {
					if _, body := get(ctx, n, "/metrics"); !strings.Contains(body, part) {
						t.Errorf("%s: no %q in its metrics", n.Self().SID, part)
					}
				}
				if code, body := get(ctx, bad, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "differs from that of a majority") {
					t.Errorf("/readyz: %d, %s", code, body)
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
				mended(t, ctx, f, bad)
			})
		})
	}
}

// mended waits until a server that differed is read again, and shows that it is right: at
// once, and from its disk.
func mended(t *testing.T, ctx context.Context, f *nodetest.Fleet, n *node.Node) {
	t.Helper()
	began := time.Now()
	f.Eventually(ctx, func() error {
		if err := n.Err(); err != nil {
			return err
		}
		return equal(f)
	})
	t.Logf("right again after %v", time.Since(began))
	for _, other := range f.Nodes() {
		if problem := other.Status().Problem; problem != "" {
			t.Errorf("%s says %q", other.Self().SID, problem)
		}
	}
	if ok, why := n.MayLead(); !ok {
		t.Errorf("it may not lead: %s", why)
	}
	f.Eventually(ctx, func() error {
		if n.Snapshots() < 2 {
			return errors.New("no fresh snapshot")
		}
		return nil
	})
	sid := n.Self().SID
	f.Kill(sid)
	must(t, f.Restart(sid).Ready(ctx))
	soon, cancel := context.WithTimeout(ctx, 30*time.Second) // before anybody compares again
	defer cancel()
	f.Eventually(soon, func() error { return equal(f) })
}

// equal says whether all servers have the same state.
func equal(f *nodetest.Fleet) error {
	type state struct {
		index uint64
		sum   string
	}
	states := make(map[state][]string)
	for _, n := range f.Nodes() {
		var s state
		s.index, s.sum = n.Hash()
		states[s] = append(states[s], n.Self().SID)
	}
	if len(states) > 1 {
		return fmt.Errorf("states differ: %v", states)
	}
	return nil
}

// One after the other, under writes.
func TestAudit_RebuildsSeveralUnderWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, append(four(), node.Config{SID: "c5", SType: "connector", NonVoter: true})...)
		must(t, f.Node("c1").Add(ctx, "world", "mallory", "c1"))
		f.WaitEqual(ctx)
		settle(ctx)
		bad := []*node.Node{f.Node("c4"), f.Node("c5"), follower(t, ctx, f, "c4", "c5")}
		for i, n := range bad {
			must(t, n.Spoil("mallory", fmt.Sprint("mallor", i)))
		}
		load, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; load.Err() == nil; i++ {
				_ = f.Node("c4").Add(load, fmt.Sprint("channel", i%7), fmt.Sprint("user", i%500), "c4")
				_ = f.Node("c1").Leave(load, fmt.Sprint("channel", i%5), fmt.Sprint("user", i%300), "c4")
				pause(load, paced(10*time.Millisecond))
			}
		}()
		f.Eventually(ctx, func() error {
			for _, n := range bad {
				if n.Err() == nil {
					return fmt.Errorf("%s was not found yet", n.Self().SID)
				}
			}
			return nil
		})
		f.Eventually(ctx, func() error {
			at := 0
			for _, n := range bad {
				if n.IsRebuilding() {
					at++
				}
			}
			if at > 1 {
				t.Errorf("%d rebuild at once", at)
			}
			for _, n := range bad {
				if err := n.Err(); err != nil {
					return err
				}
			}
			return nil
		})
		stop()
		<-done
		f.WaitEqual(ctx)
		settle(ctx)
		if err := equal(f); err != nil {
			t.Error(err)
		}
	})
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
		mended(t, ctx, f, bad) // ends its life, and with c1's go the members
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
				if _, body := get(ctx, n, "/metrics"); !strings.Contains(body, "globalchannel_states_undecided 1\n") {
					return fmt.Errorf("%s: not in its metrics", n.Self().SID)
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
				pause(load, paced(100*time.Millisecond))
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
