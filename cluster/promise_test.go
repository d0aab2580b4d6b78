package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// council is a set of founders whose messages are lost, doubled and delayed, who
// crash and restart, and whose disks fail with and without having written.
type council struct {
	random  *rand.Rand
	members []*councillor
	mail    []letter
	acted   map[string]Proposal // decided, and somebody knew
	made    int
}

type councillor struct {
	id   string
	disk *disk
	f    *founding
	acks map[string]map[string]bool // proposal -> who promised; lost in a crash
}

type letter struct {
	to       int
	proposal Proposal
	release  bool
	answer   string // "": a question; else the founder that promised
}

func newCouncil(seed uint64, size int) *council {
	c := &council{random: rand.New(rand.NewPCG(seed, 7)), acted: map[string]Proposal{}}
	for i := range size {
		d := &disk{}
		d.fail = func() (bool, error) {
			if c.random.IntN(12) > 0 {
				return false, nil
			}
			return c.random.IntN(2) == 0, errors.New("disk failed")
		}
		c.members = append(c.members, &councillor{id: nodeID(i), disk: d})
		c.boot(i)
	}
	return c
}

func (c *council) founder(i int) Founder { return Founder{nodeID(i), simAddr(i)} }

func (c *council) boot(i int) {
	m := c.members[i]
	l, err := openLedger(m.id, m.disk)
	if err != nil {
		panic(err)
	}
	w := newWorld(nil)
	o := Options{Self: Member{NodeID: m.id, SID: m.id, Addr: simAddr(i)}, Expect: 3, Consensus: &fakeRaft{world: w, nodeID: m.id}}
	m.f = newFounding(o, l, func() []Member { return nil }, func() bool { return true }, nil)
	m.acks = map[string]map[string]bool{}
	if r := l.current(); r.Decided && r.Promise.Founders[0].NodeID == m.id {
		c.acted[r.ClusterID] = *r.Promise
	}
}

func (c *council) post(p Proposal, release bool) {
	for i, m := range c.members {
		if m.id != p.Founders[0].NodeID && slices.Contains(p.Founders, c.founder(i)) {
			c.mail = append(c.mail, letter{to: i, proposal: p, release: release})
		}
	}
}

// propose makes a new proposal with two random others above this one, or asks
// again for the one that is held.
func (c *council) propose(i int) {
	m := c.members[i]
	if held := m.f.ledger.current().Promise; held != nil && held.Founders[0].NodeID == m.id {
		c.post(*held, false)
		return
	}
	if len(c.members)-i < 3 {
		return
	}
	others := c.random.Perm(len(c.members) - i - 1)[:2]
	slices.Sort(others)
	c.made++
	p := Proposal{ClusterID: fmt.Sprintf("cluster-%d", c.made),
		Founders: []Founder{c.founder(i), c.founder(i + 1 + others[0]), c.founder(i + 1 + others[1])}}
	if m.f.ledger.promise(p, m.f.empty) == nil {
		c.post(p, false)
	}
}

func (c *council) deliver() {
	if len(c.mail) == 0 {
		return
	}
	n := c.random.IntN(len(c.mail))
	l := c.mail[n]
	if c.random.IntN(4) > 0 { // else it comes again, much later perhaps
		c.mail = slices.Delete(c.mail, n, n+1)
	}
	to := c.members[l.to]
	if l.answer != "" {
		if to.acks[l.proposal.ClusterID] == nil {
			to.acks[l.proposal.ClusterID] = map[string]bool{}
		}
		to.acks[l.proposal.ClusterID][l.answer] = true
		return
	}
	if err := to.f.handle(l.proposal, l.release); err == nil && !l.release {
		back := slices.IndexFunc(c.members, func(m *councillor) bool { return m.id == l.proposal.Founders[0].NodeID })
		c.mail = append(c.mail, letter{to: back, proposal: l.proposal, answer: to.id})
	}
}

func (c *council) decide(i int) {
	m := c.members[i]
	held := m.f.ledger.current().Promise
	if held == nil || held.Founders[0].NodeID != m.id {
		return
	}
	for _, f := range held.Founders[1:] {
		if !m.acks[held.ClusterID][f.NodeID] {
			return
		}
	}
	if m.f.ledger.decide(held.ClusterID) == nil {
		c.acted[held.ClusterID] = *held
	}
}

func (c *council) withdraw(i int) {
	m := c.members[i]
	if held := m.f.ledger.current().Promise; held != nil && m.f.ledger.withdraw(held.ClusterID) == nil {
		c.post(*held, true)
	}
}

func (c *council) sight(i int) {
	for id := range c.acted {
		_ = c.members[i].f.ledger.learn(id)
		return
	}
}

// check: who was counted in a decision stays bound to it, on disk too.
func (c *council) check() string {
	for id, p := range c.acted {
		for _, f := range p.Founders {
			m := c.members[slices.IndexFunc(c.members, func(m *councillor) bool { return m.id == f.NodeID })]
			for where, r := range map[string]Record{"memory": m.f.ledger.current(), "disk": m.disk.Load()} {
				if r.Promise == nil || r.Promise.ClusterID != id || r.ClusterID != "" && r.ClusterID != id {
					return fmt.Sprintf("%s was decided, but the %s of %s says %+v", id, where, f.NodeID, r)
				}
			}
		}
	}
	return ""
}

func TestFounding_ProposersWithDifferingViewsNeverBothDecide(t *testing.T) {
	decided := 0
	for seed := range uint64(1500) {
		c := newCouncil(seed, 4+int(seed%3))
		for range 250 {
			i := c.random.IntN(len(c.members))
			switch n := c.random.IntN(100); {
			case n < 10:
				c.propose(i)
			case n < 70:
				c.deliver()
			case n < 85:
				c.decide(i)
			case n < 89:
				c.withdraw(i)
			case n < 93:
				c.sight(i)
			default:
				c.boot(i)
			}
			if bad := c.check(); bad != "" {
				t.Fatalf("seed %d: %s", seed, bad)
			}
		}
		decided += len(c.acted)
	}
	if decided < 300 {
		t.Errorf("only %d decisions in all runs: the test has seen too little", decided)
	}
}

func TestCluster_ConcurrentPromisesBindToOne(t *testing.T) {
	for range 50 {
		c := newCouncil(1, 5)
		c.members[4].disk.fail = nil
		f := c.members[4].f
		won := make([]bool, 2)
		var group sync.WaitGroup
		for i := range won {
			p := Proposal{ClusterID: fmt.Sprint("c", i), Founders: []Founder{c.founder(i), c.founder(3), c.founder(4)}}
			group.Go(func() { won[i] = f.handle(p, false) == nil })
		}
		group.Wait()
		if won[0] == won[1] {
			t.Fatalf("promises given: %v", won)
		}
	}
}

func TestFounding_HandleRefuses(t *testing.T) {
	three := func(id string, members ...int) Proposal {
		p := Proposal{ClusterID: id}
		for _, i := range members {
			p.Founders = append(p.Founders, Founder{nodeID(i), simAddr(i)})
		}
		return p
	}
	moved := three("p", 0, 1, 2)
	moved.Founders[2].Addr = simAddr(9)
	tests := map[string]struct {
		record  Record
		seen    []Member
		raft    bool
		p       Proposal
		release bool
		want    string
	}{
		"malformed":           {p: Proposal{ClusterID: "p"}, want: "malformed"},
		"unsorted":            {p: three("p", 2, 1, 0), want: "sorted"},
		"not a founder":       {p: three("p", 0, 1, 3), want: "not one of its founders"},
		"other number":        {p: three("p", 0, 2), want: "expects 3"},
		"other address":       {p: moved, want: simAddr(2)},
		"a fourth in sight":   {p: three("p", 0, 1, 2), seen: []Member{{NodeID: nodeID(5), SID: "s5", Addr: simAddr(5), Expect: 3}}, want: "other founders"},
		"other expectation":   {p: three("p", 0, 1, 2), seen: []Member{{NodeID: nodeID(1), SID: "s1", Addr: simAddr(1), Expect: 2}}, want: "expects 2"},
		"of a cluster":        {p: three("p", 0, 1, 2), record: Record{ClusterID: "c"}, want: "already of cluster c"},
		"bound":               {p: three("p", 0, 1, 2), record: Record{Promise: &Proposal{ClusterID: "q", Founders: three("q", 1, 2, 3).Founders}}, want: "promised to"},
		"released":            {p: three("p", 0, 1, 2), record: Record{Released: []Proposal{three("p", 0, 1, 2)}}, want: "was released"},
		"with a log":          {p: three("p", 0, 1, 2), raft: true, want: "not empty"},
		"release of founded":  {p: three("p", 0, 1, 2), release: true, record: Record{ClusterID: "p"}, want: "has been founded"},
		"release by a fellow": {p: three("p", 2, 3, 4), release: true, want: "itself"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(nil)
			raft := &fakeRaft{world: w, nodeID: nodeID(2)}
			if test.raft {
				w.groups["g"] = &raftGroup{servers: []Server{{NodeID: nodeID(2), Addr: simAddr(2)}}, last: 3}
			}
			l, err := openLedger(nodeID(2), &disk{record: test.record})
			if err != nil {
				t.Fatal(err)
			}
			before := l.current()
			o := Options{Self: Member{NodeID: nodeID(2), SID: "s2", Addr: simAddr(2)}, Expect: 3, Consensus: raft}
			f := newFounding(o, l, func() []Member { return test.seen }, func() bool { return true }, nil)
			err = f.handle(test.p, test.release)
			if !errors.Is(err, ErrPromiseRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want a refusal with %q", err, test.want)
			}
			if diff := cmp.Diff(before, l.current()); diff != "" {
				t.Errorf("a refusal changed the record: %s", diff)
			}
		})
	}
}

func TestLedger_ReleaseOutlivesALatePromise(t *testing.T) {
	d := &disk{}
	l, _ := openLedger(nodeID(1), d)
	p := Proposal{ClusterID: "p", Founders: []Founder{{nodeID(0), simAddr(0)}, {nodeID(1), simAddr(1)}}}
	empty := func() error { return nil }
	if err := l.release(p); err != nil { // overtook the request it takes back
		t.Fatal(err)
	}
	l, _ = openLedger(nodeID(1), d)
	if err := l.promise(p, empty); !errors.Is(err, ErrPromiseRefused) {
		t.Errorf("late promise: %v", err)
	}
	for i := range 3 * maxReleased {
		p.ClusterID = fmt.Sprint("p", i)
		if err := l.release(p); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.Load().Released); n != maxReleased {
		t.Errorf("%d released proposals kept, want %d", n, maxReleased)
	}
}

func TestLedger_AnotherNodesRecordIsRefused(t *testing.T) {
	if _, err := openLedger("a", &disk{record: Record{NodeID: "b"}}); err == nil {
		t.Error("opened")
	}
}

func TestLedger_BoundFounderDoesNotFollowAnotherCluster(t *testing.T) {
	l, _ := openLedger(nodeID(1), &disk{})
	p := Proposal{ClusterID: "p", Founders: []Founder{{nodeID(0), simAddr(0)}, {nodeID(1), simAddr(1)}}}
	if err := l.promise(p, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.learn("other"); !errors.Is(err, errBound) {
		t.Errorf("learn another cluster: %v", err)
	}
	if err := l.learn("p"); err != nil || !l.current().Decided {
		t.Errorf("learn the promised one: %v, %+v", err, l.current())
	}
}

func TestCluster_HandlePromiseAfterItsContextBindsNobody(t *testing.T) {
	w := newWorld(nil)
	p, l, addr := realSockets(t)
	s := w.server("a", nodeID(0), addr, 2)
	s.self.Incarnation = w.incarnation()
	s.open(t, Options{Self: s.self, Expect: 2, Packets: p, Streams: l, Dial: realDial, Identity: s.disk, Consensus: s.raft, Peers: &fakePeers{w, addr}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	proposal := Proposal{ClusterID: "p", Founders: []Founder{{nodeID(0), addr}, {nodeID(1), simAddr(1)}}}
	if err := s.HandlePromise(ctx, proposal, false); err == nil || s.disk.Load().Promise != nil {
		t.Errorf("err = %v, record %+v", err, s.disk.Load())
	}
	s.stop()
	if err := s.HandlePromise(t.Context(), proposal, false); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// The proposer decided, wrote the founders into the Raft log, and was lost for
// good before gossip could tell its cluster id. The others have its entries.
func TestFounding_ConfigurationProvesThatThePromisedOneWasDecided(t *testing.T) {
	w := newWorld(nil)
	p := Proposal{ClusterID: "p", Founders: []Founder{{nodeID(0), simAddr(0)}, {nodeID(1), simAddr(1)}}}
	self := Member{NodeID: nodeID(1), SID: "s1", Addr: simAddr(1), Expect: 2}
	l, _ := openLedger(self.NodeID, &disk{})
	if err := l.promise(p, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	alone := func() []Member { return []Member{self} }
	f := newFounding(Options{Self: self, Expect: 2, Consensus: &fakeRaft{w, self.NodeID}, Peers: &fakePeers{w, self.Addr}},
		l, alone, func() bool { return true }, slog.New(slog.DiscardHandler))
	if problem := f.step(t.Context()); problem == "" || l.current().ClusterID != "" {
		t.Fatalf("before Raft said anything: problem %q, record %+v", problem, l.current())
	}
	if err := (&fakeRaft{w, nodeID(0)}).Bootstrap(t.Context(), votersOf(p)); err != nil {
		t.Fatal(err)
	}
	if problem := f.step(t.Context()); problem != "" || l.current().ClusterID != "p" || !l.current().Bootstrapped {
		t.Errorf("problem %q, record %+v", problem, l.current())
	}
}
