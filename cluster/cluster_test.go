package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func simAddr(i int) string { return fmt.Sprintf("10.0.0.%d:7400", i+1) }
func nodeID(i int) string  { return fmt.Sprintf("node-%03d", i) }

func TestCluster_TwentyServersStartedAtOnceFoundOneCluster(t *testing.T) {
	for round := range 10 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(round), 1))
				w := newWorld(newSimNet())
				order := random.Perm(20)
				var servers []*server
				for _, i := range order {
					expect := 0
					if i%7 == 3 && i < 20 { // 3, 10, 17
						expect = 3
					}
					// All get the same list: two founders and somebody else.
					servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), expect, simAddr(3), simAddr(10), simAddr(0)))
				}
				defer stopAll(servers)
				for _, s := range servers {
					pass(time.Duration(random.IntN(30)) * time.Millisecond)
					s.start(t)
				}
				eventually(t, time.Minute, "one cluster of all", func() string { return w.foundOnce(servers) })
				eventually(t, time.Minute, "everybody sees everybody", func() string {
					for _, s := range servers {
						if n := len(s.Members()); n != 20 {
							return fmt.Sprintf("%s sees %d", s.self.SID, n)
						}
						if p := s.Problem(); p != "" {
							return p
						}
					}
					return ""
				})
			})
		})
	}
}

func TestCluster_FoundsOverLoopbackSockets(t *testing.T) {
	for round := range 2 {
		w := newWorld(nil)
		var servers []*server
		var options []Options
		var addrs []string
		for i := range 20 {
			p, l, addr := realSockets(t)
			expect := 0
			if i < 3 {
				expect = 3
			}
			s := w.server(fmt.Sprintf("s-%d", i), nodeID(i), addr, expect)
			s.self.Incarnation = w.incarnation()
			servers, addrs = append(servers, s), append(addrs, addr)
			options = append(options, Options{Self: s.self, Expect: expect, Packets: p, Streams: l, Dial: realDial,
				Identity: s.disk, Consensus: s.raft, Peers: &fakePeers{w, addr}, GossipKey: slices.Repeat([]byte{7}, 32)})
		}
		for _, i := range rand.Perm(20) {
			o := options[i]
			o.Seeds = addrs[:3] // its own address among them, for three of them
			servers[i].open(t, o)
		}
		eventually(t, time.Minute, fmt.Sprintf("round %d", round), func() string { return w.foundOnce(servers) })
		stopAll(servers)
	}
}

func TestCluster_OneFounderTooManyNobodyBootstraps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		var servers []*server
		for i := range 4 {
			servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), 3, simAddr(0)).start(t))
		}
		defer stopAll(servers)
		pass(time.Minute)
		if len(w.groups) != 0 {
			t.Fatalf("%d clusters founded", len(w.groups))
		}
		for _, s := range servers {
			for i := range 4 {
				if want := fmt.Sprintf("s-%d (%s)", i, simAddr(i)); !strings.Contains(s.Problem(), want) {
					t.Errorf("%s: problem %q does not name %s", s.self.SID, s.Problem(), want)
				}
			}
		}
		// Somebody corrects the mistake: one of the four goes.
		servers[1].stop()
		rest := []*server{servers[0], servers[2], servers[3]}
		eventually(t, time.Minute, "the other three", func() string { return w.foundOnce(rest) })
	})
}

func TestCluster_DifferentExpectationsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		servers := []*server{
			w.server("a", nodeID(0), simAddr(0), 2, simAddr(0)).start(t),
			w.server("b", nodeID(1), simAddr(1), 3, simAddr(0)).start(t),
		}
		defer stopAll(servers)
		pass(time.Minute)
		for _, s := range servers {
			if p := s.Problem(); !strings.Contains(p, "a (10.0.0.1:7400) expects 2") || !strings.Contains(p, "b (10.0.0.2:7400) expects 3") {
				t.Errorf("%s: problem %q", s.self.SID, p)
			}
		}
		if len(w.groups) != 0 {
			t.Error("a cluster was founded")
		}
	})
}

func TestCluster_AloneNeedsNoPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		s := w.server("a", nodeID(0), simAddr(0), 1, simAddr(0)).start(t) // its own address in the list
		defer s.stop()
		select {
		case <-s.Admitted():
		case <-time.After(5 * time.Second):
			t.Fatal(s.Problem())
		}
		joiner := w.server("b", nodeID(1), simAddr(1), 0, simAddr(1), simAddr(0)).start(t)
		defer joiner.stop()
		eventually(t, 10*time.Second, "join by address", func() string { return w.foundOnce([]*server{s, joiner}) })
		if addr, ok := s.AddrOf(nodeID(1)); !ok || addr != simAddr(1) {
			t.Errorf("AddrOf = %q, %v", addr, ok)
		}
	})
}

func TestCluster_ProposerCrashesBetweenPromiseAndDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		unreachable := errors.New("unreachable")
		w.setNoRPC(func(_, to string) error {
			if to == simAddr(2) {
				return unreachable
			}
			return nil
		})
		var servers []*server
		for i := range 3 {
			servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), 3, simAddr(1)).start(t))
		}
		defer stopAll(servers)
		promised := func(s *server) *Proposal { return s.disk.Load().Promise }
		eventually(t, time.Minute, "a promise of one", func() string {
			if promised(servers[0]) == nil || promised(servers[1]) == nil {
				return "none yet: " + servers[0].Problem()
			}
			return ""
		})
		proposal := promised(servers[0]).ClusterID
		servers[0].stop()
		w.setNoRPC(nil)
		pass(30 * time.Second)
		if len(w.groups) != 0 {
			t.Fatal("founded without the proposer")
		}
		if p := servers[1].Problem(); !strings.Contains(p, nodeID(0)) {
			t.Errorf("problem %q does not name the proposer", p)
		}
		servers[0].start(t)
		eventually(t, time.Minute, "founding goes on", func() string { return w.foundOnce(servers) })
		if got := servers[2].disk.Load().ClusterID; got != proposal {
			t.Errorf("cluster id %s, want that of the stored proposal %s", got, proposal)
		}
	})
}

func TestCluster_FounderThatMissedTheDecisionFoundsAfterItsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		var servers []*server
		for i := range 3 {
			servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), 3, simAddr(1)).start(t))
		}
		defer stopAll(servers)
		eventually(t, time.Minute, "founding", func() string { return w.foundOnce(servers) })
		// Decided and stored, but the crash came before the Raft log was written.
		r := servers[0].disk.Load()
		servers[0].stop()
		r.Bootstrapped = false
		servers[0].disk.record = r
		servers[0].start(t)
		eventually(t, time.Minute, "restart", func() string {
			if !servers[0].disk.Load().Bootstrapped {
				return "not bootstrapped: " + servers[0].Problem()
			}
			return w.foundOnce(servers)
		})
	})
}

func TestCluster_DisklessFounderRestartsWithANewNodeIDAndFoundingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		w.setNoRPC(func(_, to string) error {
			if to == simAddr(2) {
				return errors.New("unreachable")
			}
			return nil
		})
		var servers []*server
		for i := range 3 {
			servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), 3, simAddr(1)).start(t))
		}
		defer func() { stopAll(servers) }()
		eventually(t, time.Minute, "a promise", func() string {
			if servers[1].disk.Load().Promise == nil {
				return "none yet: " + servers[1].Problem()
			}
			return ""
		})
		servers[2].stop()
		w.setNoRPC(nil)
		// The new node id is the smallest: now it proposes, and the old proposer must let go first.
		servers[2] = w.server("s-2", "node-000-again", simAddr(2), 3, simAddr(1)).start(t)
		eventually(t, 2*time.Minute, "founding with the new one", func() string { return w.foundOnce(servers) })
		if got := len(servers[1].disk.Load().Released); got != 1 {
			t.Errorf("%d released proposals on record, want 1", got)
		}
	})
}

func TestCluster_HealedPartitionComesTogetherAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSimNet()
		w := newWorld(sim)
		var servers []*server
		for i := range 6 {
			expect := 0
			if i < 3 {
				expect = 3
			}
			servers = append(servers, w.server(fmt.Sprintf("s-%d", i), nodeID(i), simAddr(i), expect, simAddr(0)).start(t))
		}
		defer stopAll(servers)
		sees := func(n int) func() string {
			return func() string {
				for _, s := range servers {
					if got := len(s.Members()); got != n {
						return fmt.Sprintf("%s sees %d", s.self.SID, got)
					}
				}
				return ""
			}
		}
		eventually(t, time.Minute, "founding", func() string { return w.foundOnce(servers) })
		eventually(t, time.Minute, "all seen", sees(6))
		high := func(addr string) bool { return addr >= simAddr(3) }
		sim.setCut(func(from, to string) bool { return high(from) != high(to) })
		eventually(t, time.Minute, "two halves", sees(3))
		pass(10 * time.Minute) // long after memberlist has forgotten the dead
		sim.setCut(nil)
		eventually(t, 10*time.Second, "one again", sees(6))
	})
}

func TestCluster_RestartAtANewAddressIsMadeKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", nodeID(0), simAddr(0), 1, simAddr(0)).start(t)
		b := w.server("b", nodeID(1), simAddr(1), 0, simAddr(0)).start(t)
		servers := []*server{a, b}
		defer func() { stopAll(servers) }()
		eventually(t, time.Minute, "join", func() string { return w.foundOnce(servers) })
		b.stop()
		b.self.Addr = simAddr(7)
		b.start(t)
		select {
		case <-b.Admitted():
		case <-time.After(time.Second):
			t.Error("not admitted at once, though it is in the configuration")
		}
		eventually(t, 10*time.Second, "the new address", func() string {
			got, _ := a.raft.Configuration()
			return cmp.Diff([]Server{{nodeID(0), simAddr(0), true}, {nodeID(1), simAddr(7), false}}, got)
		})
		eventually(t, 10*time.Second, "gossip shows it", func() string {
			addr, ok := a.AddrOf(nodeID(1))
			return cmp.Diff(simAddr(7), addr) + fmt.Sprint(ok)[len("true"):]
		})
	})
}

func TestCluster_AnotherClustersDataIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", nodeID(0), simAddr(0), 1, simAddr(0)).start(t)
		b := w.server("b", nodeID(1), simAddr(1), 0, simAddr(0))
		b.disk.record = Record{NodeID: nodeID(1), ClusterID: "another-cluster"}
		b.start(t)
		defer stopAll([]*server{a, b})
		select {
		case <-b.Refused():
		case <-time.After(time.Minute):
			t.Fatalf("not refused: %q", b.Problem())
		}
		if err := b.Err(); err == nil || !strings.Contains(err.Error(), "another-cluster") {
			t.Errorf("Err = %v", err)
		}
		eventually(t, 10*time.Second, "a count", func() string {
			if a.Rejections().Foreign == 0 {
				return "no foreign alive message was counted"
			}
			return ""
		})
		if got := len(a.Members()); got != 1 {
			t.Errorf("a sees %d members", got)
		}
	})
}

func TestCluster_SeedOfAnotherClusterDoesNotRefuseAServerThatHasFellows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		other := w.server("x", nodeID(8), simAddr(8), 1, simAddr(8)).start(t)
		a := w.server("a", nodeID(0), simAddr(0), 2, simAddr(1)).start(t)
		b := w.server("b", nodeID(1), simAddr(1), 2, simAddr(0)).start(t)
		defer stopAll([]*server{other, a, b})
		eventually(t, time.Minute, "founding", func() string {
			if !a.isAdmitted() || !b.isAdmitted() {
				return "not yet: " + a.Problem()
			}
			return ""
		})
		a.stop()
		b.stop()
		// b's only seed now belongs to the other cluster, and a is still away.
		b.seeds = []string{simAddr(8)}
		b.start(t)
		pass(time.Minute)
		if err := b.Err(); err != nil {
			t.Fatalf("refused: %v", err)
		}
		a.start(t)
		eventually(t, time.Minute, "together again", func() string {
			if len(b.Members()) != 2 || b.Problem() != "" {
				return fmt.Sprint(b.Members(), b.Problem())
			}
			return ""
		})
	})
}

func TestCluster_TwoClustersInSightIsAQuestionNotAChoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		x := w.server("x", nodeID(8), simAddr(8), 1, simAddr(8)).start(t)
		y := w.server("y", nodeID(9), simAddr(9), 1, simAddr(9)).start(t)
		pass(5 * time.Second)
		j := w.server("j", nodeID(1), simAddr(1), 0, simAddr(8), simAddr(9)).start(t)
		defer stopAll([]*server{x, y, j})
		// Whichever it sees first it may join, before it can know of the other; it must not end up in both.
		pass(time.Minute)
		id := j.identity.current().ClusterID
		if id == "" && !strings.Contains(j.Problem(), "several clusters") {
			t.Errorf("problem %q", j.Problem())
		}
		in := 0
		for _, s := range []*server{x, y} {
			if servers, _ := s.raft.Configuration(); len(servers) == 2 {
				in++
			}
		}
		if in > 1 {
			t.Error("joined both clusters")
		}
	})
}

func TestCluster_LeadPromotesJoinersUpToMaxVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", nodeID(0), simAddr(0), 1, simAddr(0)).start(t)
		servers := []*server{a}
		for i := 1; i < 8; i++ {
			servers = append(servers, w.server(fmt.Sprint("s-", i), nodeID(i), simAddr(i), 0, simAddr(0)).start(t))
		}
		defer stopAll(servers)
		eventually(t, time.Minute, "join", func() string { return w.foundOnce(servers) })
		done := make(chan struct{})
		go func() { defer close(done); a.Lead(t.Context()) }()
		pass(time.Minute)
		voters := 0
		configuration, _ := a.raft.Configuration()
		for _, s := range configuration {
			if s.Voter {
				voters++
			}
		}
		if voters != defaultVoters || len(configuration) != 8 {
			t.Errorf("%d voters of %d, want %d of 8", voters, len(configuration), defaultVoters)
		}
		a.stop() // ends Lead too
		<-done
	})
}

// The disk hangs under the record. What is known of it is told all the same.
func TestCluster_ClosesWhileTheRecordIsBeingSaved(t *testing.T) {
	w := newWorld(newSimNet())
	s := w.server("a", "a", simAddr(0), 1)
	hang, in := make(chan struct{}), make(chan struct{}, 10)
	defer close(hang)
	s.disk.fail = func() (bool, error) { in <- struct{}{}; <-hang; return false, nil }
	s.start(t)
	<-in
	s.identity.current() // must not wait
	closed := make(chan struct{})
	go func() { s.stop(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(15 * time.Second):
		t.Error("Close has not returned after 15 s")
	}
}
