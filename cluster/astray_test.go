package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ofCluster is a server whose directory is of a cluster with these servers.
func (w *world) ofCluster(s *server, id string, servers ...Server) *server {
	s.disk.record = Record{NodeID: s.self.NodeID, ClusterID: id}
	w.groups[id] = &raftGroup{servers: servers, last: 1}
	return s
}

func TestCluster_PointedAtAnotherClusterIsRefused(t *testing.T) {
	me, fellow := Server{nodeID(1), simAddr(1), true}, Server{nodeID(2), simAddr(2), true}
	tests := map[string]struct {
		config []Server
		seeds  []string
		within time.Duration // 0: never
	}{
		"alone in its log":                    {[]Server{me}, []string{simAddr(0)}, 5 * time.Second},
		"alone, own address in the list":      {[]Server{me}, []string{simAddr(1), simAddr(0)}, 5 * time.Second},
		"with fellows that are gone":          {[]Server{me, fellow}, []string{simAddr(0)}, strayTime + 10*time.Second},
		"alone, another seed does not answer": {[]Server{me}, []string{simAddr(0), simAddr(5)}, 0},
		"with fellows, one seed is silent":    {[]Server{me, fellow}, []string{simAddr(0), simAddr(2)}, 0},
		"alone without seeds":                 {[]Server{me}, nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(newSimNet())
				x := w.server("x", nodeID(0), simAddr(0), 1, simAddr(0)).start(t)
				defer x.stop()
				eventually(t, time.Minute, "the other cluster", func() string { return w.foundOnce([]*server{x}) })
				b := w.ofCluster(w.server("b", nodeID(1), simAddr(1), 0, test.seeds...), "mine", test.config...)
				b.start(t)
				defer b.stop()
				begin := time.Now()
				select {
				case <-b.Refused():
				case <-time.After(time.Hour):
				}
				if test.within == 0 {
					if err := b.Err(); err != nil {
						t.Errorf("refused: %v", err)
					}
					if !b.isAdmitted() {
						t.Errorf("not admitted to its own cluster: %s", b.Problem())
					}
					return
				}
				if took := time.Since(begin); took > test.within {
					t.Errorf("after %v, want %v", took, test.within)
				}
				for _, words := range []string{fmt.Sprint(b.Err()), b.Problem()} {
					if !strings.Contains(words, x.identity.current().ClusterID) || !strings.Contains(words, "data of cluster mine") {
						t.Errorf("it says %q", words)
					}
				}
				if len(test.config) == 1 && b.isAdmitted() {
					t.Error("it went on as a cluster of its own")
				}
				if servers, _ := x.raft.Configuration(); len(servers) != 1 {
					t.Errorf("the other cluster took it in: %v", servers)
				}
			})
		})
	}
}

// A server whose log knows others says what it found while it waits for them, and
// goes on when one of them is back.
func TestCluster_FellowThatComesBackInTimeCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		x := w.server("x", nodeID(8), simAddr(8), 1, simAddr(8)).start(t)
		a := w.server("a", nodeID(0), simAddr(0), 2, simAddr(1)).start(t)
		b := w.server("b", nodeID(1), simAddr(1), 2, simAddr(0)).start(t)
		defer stopAll([]*server{x, a, b})
		eventually(t, time.Minute, "founding", func() string {
			if !a.isAdmitted() || !b.isAdmitted() {
				return "not yet: " + a.Problem()
			}
			return ""
		})
		a.stop()
		b.stop()
		b.seeds = []string{simAddr(8)}
		w.elect(nodeID(0), "") // nobody is there to be elected by
		b.start(t)
		eventually(t, 20*time.Second, "words", func() string {
			if p := b.Problem(); !strings.Contains(p, "this is cluster "+x.identity.current().ClusterID) {
				return p
			}
			return ""
		})
		pass(strayTime / 2)
		a.start(t)
		w.elect(nodeID(0), nodeID(0))
		eventually(t, 10*time.Second, "together again", func() string {
			if len(b.Members()) != 2 || b.Problem() != "" {
				return fmt.Sprint(b.Members(), b.Problem())
			}
			return ""
		})
		pass(10 * time.Minute)
		if err := b.Err(); err != nil {
			t.Errorf("refused: %v", err)
		}
	})
}

// elect says who leads the group of a node.
func (w *world) elect(member, leader string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groupOfLocked(member).leader = leader
}

// Two clusters with one secret whose servers learn each other's addresses stay two.
func TestCluster_TwoThatLearnEachOthersAddressNeverMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		var ours, theirs []*server
		for i := range 3 {
			ours = append(ours, w.server(fmt.Sprint("a", i), nodeID(i), simAddr(i), 3, simAddr(0)).start(t))
			theirs = append(theirs, w.server(fmt.Sprint("b", i), nodeID(10+i), simAddr(10+i), 3, simAddr(10)).start(t))
		}
		defer stopAll(append(ours, theirs...))
		founded := func(servers []*server) func() string {
			return func() string {
				for _, s := range servers {
					if !s.isAdmitted() || len(s.Members()) != 3 {
						return s.self.SID + ": " + s.Problem()
					}
				}
				return ""
			}
		}
		eventually(t, time.Minute, "one", founded(ours))
		eventually(t, time.Minute, "the other", founded(theirs))
		// a2 goes and b2 moves to its address, which ours go on trying; b0 is told ours.
		ours[2].stop()
		theirs[2].stop()
		theirs[2].self.Addr = simAddr(2)
		theirs[2].start(t)
		theirs[0].stop()
		theirs[0].seeds = []string{simAddr(0), simAddr(1)}
		theirs[0].start(t)
		pass(time.Hour)
		id := ours[0].identity.current().ClusterID
		for _, s := range ours[:2] {
			if got := len(s.Members()); got != 2 || s.identity.current().ClusterID != id {
				t.Errorf("%s sees %v", s.self.SID, s.Members())
			}
		}
		eventually(t, time.Minute, "theirs at the new address", founded(theirs))
		if n := ours[0].Rejections().Foreign + ours[1].Rejections().Foreign; n == 0 {
			t.Error("nothing was counted: did they ever meet?")
		}
		for _, s := range append(ours[:2:2], theirs...) {
			if err := s.Err(); err != nil {
				t.Errorf("%s: %v", s.self.SID, err)
			}
		}
		for _, g := range w.groups {
			if len(g.servers) != 3 {
				t.Errorf("a configuration of %v", g.servers)
			}
		}
		ours[2].self.Addr = simAddr(5)
		ours[2].start(t)
		eventually(t, time.Minute, "ours whole again", founded(ours))
	})
}

func TestCluster_NobodyFoundsWhileDiscoveryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		s := w.server("a", nodeID(0), simAddr(0), 1)
		var works atomic.Bool
		s.discover = func(context.Context) ([]string, error) {
			if !works.Load() {
				return nil, errors.New("no api")
			}
			return nil, nil
		}
		s.start(t)
		defer s.stop()
		pass(10 * time.Minute)
		if len(w.groups) != 0 || !strings.Contains(s.Problem(), "no api") {
			t.Errorf("%d clusters, problem %q", len(w.groups), s.Problem())
		}
		works.Store(true)
		eventually(t, 10*time.Second, "founding", func() string { return w.foundOnce([]*server{s}) })
		if p := s.Problem(); p != "" {
			t.Errorf("problem %q", p)
		}
	})
}

func TestCluster_OwnAddressAloneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		s := w.server("a", nodeID(0), simAddr(0), 0, simAddr(0)).start(t)
		defer s.stop()
		pass(10 * time.Minute)
		if len(w.groups) != 0 || !strings.Contains(s.Problem(), "no cluster in sight") {
			t.Errorf("%d clusters, problem %q", len(w.groups), s.Problem())
		}
	})
}

func TestCluster_CloseSaysThatDiscoverDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		s := w.server("a", nodeID(0), simAddr(0), 0)
		end := make(chan struct{})
		defer close(end)
		s.discover = func(context.Context) ([]string, error) { <-end; return nil, nil }
		s.start(t)
		pass(time.Minute)
		begin := time.Now()
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "Discover does not return") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// All servers come back at other addresses and find each other through the callback.
func TestCluster_DiscoverBringsMovedServersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		addrs := []string{simAddr(0), simAddr(1), simAddr(2)}
		var servers []*server
		for i := range 3 {
			s := w.server(fmt.Sprint("a", i), nodeID(i), simAddr(i), 3)
			s.discover = func(context.Context) ([]string, error) { return addrs, nil }
			servers = append(servers, s.start(t))
		}
		defer stopAll(servers)
		eventually(t, time.Minute, "founding", func() string { return w.foundOnce(servers) })
		stopAll(servers)
		addrs = nil
		for i, s := range servers {
			s.self.Addr = simAddr(20 + i)
			addrs = append(addrs, s.self.Addr)
		}
		for _, s := range servers {
			s.start(t)
		}
		eventually(t, 10*time.Second, "together", func() string {
			for _, s := range servers {
				if len(s.Members()) != 3 {
					return fmt.Sprint(s.Members())
				}
			}
			return ""
		})
	})
}
