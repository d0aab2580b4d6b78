package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// electorate is the sids of the voters, and how many servers the configuration has, as
// the leader sees it.
func electorate(t *testing.T, ctx context.Context, f *nodetest.Fleet) (voters []string, all int) {
	t.Helper()
	leader := f.Leader(ctx)
	configured := node.Configured(leader)
	for _, n := range f.Nodes() {
		if voter, ok := configured[n.Self().NodeID]; ok && voter {
			voters = append(voters, n.Self().SID)
		}
	}
	slices.Sort(voters)
	return voters, len(configured)
}

// votes counts all voters, dead ones too.
func votes(t *testing.T, ctx context.Context, f *nodetest.Fleet) (n int) {
	t.Helper()
	for _, voter := range node.Configured(f.Leader(ctx)) {
		if voter {
			n++
		}
	}
	return n
}

// untilVoters waits until exactly these servers that run vote, and nobody else.
func untilVoters(t *testing.T, ctx context.Context, f *nodetest.Fleet, want ...string) {
	t.Helper()
	slices.Sort(want)
	f.Eventually(ctx, func() error {
		got, all := electorate(t, ctx, f)
		if n := votes(t, ctx, f); !slices.Equal(got, want) || n != len(want) {
			return fmt.Errorf("%v of %d servers vote, and %d in all; want %v", got, all, n, want)
		}
		return nil
	})
}

func servers(prefix string, n int) (cfgs []node.Config) {
	for i := range n {
		cfgs = append(cfgs, server(fmt.Sprint(prefix, i+1), "connector"))
	}
	return cfgs
}

func TestVoters_FiveOfEight(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		began := time.Now()
		f := readyCluster(t, ctx, servers("c", 8)...)
		f.Eventually(ctx, func() error {
			if got, all := electorate(t, ctx, f); len(got) != 5 || all != 8 {
				return fmt.Errorf("%v of %d vote", got, all)
			}
			return nil
		})
		t.Logf("5 of 8 vote %v after the start", time.Since(began))
		pause(ctx, time.Minute)
		if got, all := electorate(t, ctx, f); len(got) != 5 || all != 8 {
			t.Errorf("a minute later %v of %d vote", got, all)
		}
	})
}

func TestVoters_NonVoterServersNeverAre(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := servers("c", 3)
		for i := range 3 {
			cfgs = append(cfgs, node.Config{SID: fmt.Sprint("n", i+1), SType: "connector", NonVoter: true})
		}
		f := readyCluster(t, ctx, cfgs...)
		f.Kill("c3")
		pause(ctx, 2*time.Minute)
		if got := votes(t, ctx, f); got != 3 {
			t.Errorf("%d voters", got)
		}
		if got, _ := electorate(t, ctx, f); !slices.Equal(got, []string{"c1", "c2"}) {
			t.Errorf("of those that run %v vote", got)
		}
		must(t, f.Node("n1").Add(ctx, "world", "alice", "n1"))
	})
}

// Servers without a disk are passed over for a later one that has one.
func TestVoters_DisklessNeverBesideDisks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := servers("c", 3)
		for i := range 3 {
			cfgs = append(cfgs, node.Config{SID: fmt.Sprint("d", i+1), SType: "connector", DataDir: nodetest.Diskless})
		}
		f := readyCluster(t, ctx, cfgs...)
		f.Kill("c3")
		pause(ctx, 2*time.Minute)
		if got, _ := electorate(t, ctx, f); !slices.Equal(got, []string{"c1", "c2"}) {
			t.Errorf("of those that run %v vote", got)
		}
		f.Start(server("c4", "connector"))
		f.WaitReady(ctx)
		untilVoters(t, ctx, f, "c1", "c2", "c4")
	})
}

func TestVoters_DisklessFoundersGiveTheirVotesToDisks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var cfgs []node.Config
		for i := range 3 {
			cfgs = append(cfgs, node.Config{SID: fmt.Sprint("d", i+1), SType: "connector", DataDir: nodetest.Diskless, Expect: 3})
		}
		f := readyCluster(t, ctx, cfgs...)
		pause(ctx, 10*time.Second)
		untilVoters(t, ctx, f, "d1", "d2", "d3")
		for i := range 3 {
			f.Start(server(fmt.Sprint("c", i+1), "connector"))
		}
		f.WaitReady(ctx)
		untilVoters(t, ctx, f, "c1", "c2", "c3")
		must(t, f.Node("d1").Add(ctx, "world", "alice", "d1"))
	})
}

func TestVoters_SpreadOverZones(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var cfgs []node.Config
		for i, zone := range []string{"x", "x", "y", "x", "x", "y", "z", "z"} {
			cfg := server(fmt.Sprint("c", i+1), "connector")
			cfg.Zone = zone
			cfgs = append(cfgs, cfg)
		}
		f := readyCluster(t, ctx, cfgs...)
		f.Eventually(ctx, func() error {
			got, _ := electorate(t, ctx, f)
			in := map[string]int{}
			for _, sid := range got {
				in[f.Node(sid).Self().Zone]++
			}
			if in["x"] != 2 || in["y"]+in["z"] != 3 || in["z"] == 0 {
				return fmt.Errorf("voters by zone: %v", in)
			}
			return nil
		})
	})
}

// The vote goes to another one after half a minute; who comes back is a replica, and
// stays one.
func TestVoters_ADeadOneIsReplacedAndComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 4)...)
		pause(ctx, 10*time.Second)
		untilVoters(t, ctx, f, "c1", "c2", "c3")
		writes := count(ctx, f, "c1")
		f.Kill("c3")
		died := time.Now()
		pause(ctx, 25*time.Second)
		if got, _ := electorate(t, ctx, f); slices.Contains(got, "c4") {
			t.Error("replaced within 25 s")
		}
		untilVoters(t, ctx, f, "c1", "c2", "c4")
		t.Logf("replaced after %v", time.Since(died))
		f.Restart("c3")
		f.WaitReady(ctx)
		pause(ctx, 2*time.Minute)
		untilVoters(t, ctx, f, "c1", "c2", "c4")
		writes.check(t, ctx, f)
	})
}

func TestVoters_TwoOfFiveLostAndReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 7)...)
		f.Eventually(ctx, func() error {
			if got, _ := electorate(t, ctx, f); len(got) != 5 {
				return fmt.Errorf("%v vote", got)
			}
			return nil
		})
		voters, _ := electorate(t, ctx, f)
		leader := f.Leader(ctx).Self().SID
		others := slices.DeleteFunc(slices.Clone(voters), func(sid string) bool { return sid == leader })
		writes := count(ctx, f, leader, others[2], others[3])
		f.Kill(others[:2]...)
		died := time.Now()
		f.Eventually(ctx, func() error {
			if got, _ := electorate(t, ctx, f); len(got) != 5 || votes(t, ctx, f) != 5 {
				return fmt.Errorf("%v vote", got)
			}
			return nil
		})
		t.Logf("five that run vote again after %v", time.Since(died))
		// Two more may go now.
		f.Kill(others[2:]...)
		must(t, f.Node(leader).Add(ctx, "world", "after", leader))
		writes.check(t, ctx, f)
	})
}

// A voter's directory is lost, and it comes back as a new node under its sid: at the
// same address at once, at another one as soon as it has registered.
func TestVoters_AWipedOneIsANewServer(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		inBubble(t, func(t *testing.T, ctx context.Context) {
			f := readyCluster(t, ctx, servers("c", 3)...)
			writes := count(ctx, f, "c1", "c2")
			old := f.Node("c3").Self().NodeID
			f.Kill("c3")
			died := time.Now()
			if elsewhere {
				f.Start(server("c3", "connector"))
			} else {
				f.RestartWith("c3", node.Config{SID: "c3", SType: "connector", DataDir: "new"})
			}
			f.WaitReady(ctx)
			untilVoters(t, ctx, f, "c1", "c2", "c3")
			if _, ok := node.Configured(f.Leader(ctx))[old]; ok {
				t.Error("the old node id is still there")
			}
			t.Logf("elsewhere %v: right after %v", elsewhere, time.Since(died))
			writes.check(t, ctx, f)
		})
	}
}

// In memory each restart is a new node: each gives its vote to the one before.
func TestClose_RollingRestartInMemoryKeepsQuorumAndData(t *testing.T) {
	for _, n := range []int{3, 4, 5} {
		inBubble(t, func(t *testing.T, ctx context.Context) {
			var cfgs []node.Config
			for i := range n {
				cfgs = append(cfgs, node.Config{SID: fmt.Sprint("m", i+1), SType: "connector", DataDir: nodetest.Diskless})
			}
			witness := node.Config{SID: "w", SType: "chat", DataDir: nodetest.Diskless, NonVoter: true}
			f := readyCluster(t, ctx, append(cfgs, witness)...)
			writes := count(ctx, f, "w")
			began := time.Now()
			for round := range 3 {
				for i := range n {
					sid := fmt.Sprint("m", i+1)
					closing := time.Now()
					must(t, f.Node(sid).Close())
					if took := time.Since(closing); took > 10*time.Second {
						t.Errorf("Close took %v", took)
					}
					f.Restart(sid)
					must(t, f.Node(sid).Ready(ctx))
				}
				if _, all := electorate(t, ctx, f); all > n+2 {
					t.Errorf("round %d: the configuration has grown to %d servers", round, all)
				}
			}
			t.Logf("%d servers, 3 rounds: %v", n, time.Since(began))
			writes.check(t, ctx, f)
			f.Eventually(ctx, func() error {
				if got, all := electorate(t, ctx, f); len(got) < min(n, 3) || all != n+1 {
					return fmt.Errorf("%v of %d vote", got, all)
				}
				return nil
			})
		})
	}
}

func TestDecommission_OfTheLeaderUnderLoad(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, servers("c", 4)...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		pause(ctx, 5*time.Second)
		leader := f.Leader(ctx)
		var others []string
		for _, n := range f.Nodes() {
			if n != leader {
				others = append(others, n.Self().SID)
			}
		}
		must(t, leader.Add(ctx, "world", "bob", leader.Self().SID))
		writes := count(ctx, f, others...)
		pause(ctx, time.Second)
		began := time.Now()
		must(t, leader.Decommission(ctx))
		t.Logf("decommissioned in %v", time.Since(began))
		must(t, leader.Decommission(ctx)) // again changes nothing
		must(t, leader.Close())
		untilVoters(t, ctx, f, others...)
		if _, all := electorate(t, ctx, f); all != 3 {
			t.Errorf("%d servers in the configuration", all)
		}
		t.Logf("three voters after %v", time.Since(began))
		writes.check(t, ctx, f)
		if writes.failed > 0 || writes.longest > 500*time.Millisecond {
			t.Errorf("%d calls on the others failed, the longest took %v", writes.failed, writes.longest)
		}
		for _, n := range f.Nodes() {
			if got, err := n.MembersBySID(ctx, "world", leader.Self().SID); err != nil || len(got) != 0 {
				t.Errorf("%s still has %v of the decommissioned server: %v", n.Self().SID, got, err)
			}
		}
		_, err := f.TryRestart(leader.Self().SID)
		if err == nil || !strings.Contains(err.Error(), "retired") || !strings.Contains(err.Error(), "delete all of it") {
			t.Errorf("started again: %v", err)
		}
	})
}

func TestDecommission_RefusedGoesOnServing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, append(servers("c", 3), node.Config{SID: "n", SType: "chat", NonVoter: true})...)
		n := f.Node("c2")
		err := n.Decommission(ctx)
		if err == nil || !strings.Contains(err.Error(), "still in service") || !strings.Contains(err.Error(), "2 voters would be left, of at least 3") {
			t.Errorf("the third of three: %v", err)
		}
		must(t, n.Add(ctx, "world", "alice", "c2"))
		must(t, n.Close())
		if err := n.Decommission(ctx); !errors.Is(err, node.ErrClosed) || !strings.Contains(err.Error(), "not decommissioned") {
			t.Errorf("after Close: %v", err)
		}
		must(t, f.Restart("c2").Ready(ctx))

		// A replica goes as it likes.
		must(t, f.Node("n").Decommission(ctx))

		// Without a quorum nobody can take it out, and nothing is retired.
		f.Kill("c1", "c3")
		short, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err = f.Node("c2").Decommission(short)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still in service") {
			t.Errorf("without a quorum: %v", err)
		}
		must(t, f.Restart("c1").Ready(ctx))
		must(t, f.Restart("c3").Ready(ctx))
		must(t, f.Node("c2").Add(ctx, "world", "bob", "c2"))
	})
}

func TestDecommission_OfTheLastServerIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		if err := f.Node("c1").Decommission(ctx); err == nil || !strings.Contains(err.Error(), "last voter") {
			t.Error(err)
		}
		f.Start(server("c2", "connector"))
		f.WaitReady(ctx)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c2"))
		must(t, f.Node("c1").Decommission(ctx)) // c2 takes over
		got, err := f.Node("c2").MembersBySID(ctx, "world", "c2")
		if err != nil || !slices.Equal(got, []string{"alice"}) {
			t.Errorf("%v %v", got, err)
		}
		must(t, f.Node("c2").Add(ctx, "world", "bob", "c2"))
	})
}

// A server that was taken out while it was paused, or down, may not come back as if
// nothing had been.
func TestVoters_OneThatWasTakenOutIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := append(servers("c", 4), node.Config{SID: "n", SType: "chat", NonVoter: true})
		for i := range cfgs {
			cfgs[i].Cluster.RemoveAfter = time.Minute
		}
		f := readyCluster(t, ctx, cfgs...)
		pause(ctx, 5*time.Second)
		f.Kill("c4")
		f.Isolate("c3", "n")
		f.Eventually(ctx, func() error {
			if _, all := electorate(t, ctx, f); all != 3 {
				return fmt.Errorf("%d in the configuration", all)
			}
			return nil
		})
		f.Restart("c4")
		f.Eventually(ctx, func() error {
			if err := f.Node("c4").Err(); !errors.Is(err, node.ErrRefused) || !strings.Contains(err.Error(), "taken out of the cluster") {
				return fmt.Errorf("c4: %v", err)
			}
			return nil
		})
		f.Heal()
		f.Eventually(ctx, func() error {
			if err := f.Node("n").Err(); !errors.Is(err, node.ErrRefused) || !strings.Contains(err.Error(), "taken out of the cluster") {
				return fmt.Errorf("n: %v", err)
			}
			return nil
		})
		// A voter of the least stays, however long it is silent.
		untilVoters(t, ctx, f, "c1", "c2", "c3")
		if err := f.Node("c3").Err(); errors.Is(err, node.ErrRefused) {
			t.Errorf("c3: %v", err)
		}
	})
}

// One server is killed and started again fifty times: the others never lack a quorum,
// and the configuration is as it was.
func TestVoters_FiftyRestartsInARow(t *testing.T) {
	restarts := 50
	if raceDetector { // it sees the same code each time
		restarts = 10
	}
	for _, kind := range []string{"data", "memory", "memory elsewhere"} {
		inBubble(t, func(t *testing.T, ctx context.Context) {
			cfgs := servers("c", 3)
			victim := server("v", "connector")
			if kind != "data" {
				victim.DataDir = nodetest.Diskless
			}
			f := readyCluster(t, ctx, append(cfgs, victim)...)
			writes := count(ctx, f, "c1")
			most := 0
			for range restarts {
				f.Kill("v")
				if kind == "memory elsewhere" {
					f.Start(victim)
				} else {
					f.Restart("v")
				}
				must(t, f.Node("v").Ready(ctx))
				pause(ctx, 2*time.Second)
				_, all := electorate(t, ctx, f)
				most = max(most, all)
			}
			f.Eventually(ctx, func() error {
				if _, all := electorate(t, ctx, f); all != 4 {
					return fmt.Errorf("%d in the configuration", all)
				}
				return nil
			})
			if most > map[string]int{"data": 4, "memory": 4, "memory elsewhere": 4 + 6}[kind] {
				t.Errorf("%s: up to %d servers in the configuration", kind, most)
			}
			untilVoters(t, ctx, f, "c1", "c2", "c3")
			t.Logf("%s: at most %d of 4 servers in the configuration", kind, most)
			writes.check(t, ctx, f)
		})
	}
}
