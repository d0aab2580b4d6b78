package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// called is everything around one leader's roll call: who answers at which
// address, and what was asked there.
type called struct {
	Peers                // of which only Ping is called
	mu        sync.Mutex // guards what follows
	members   []Member
	servers   []Server
	lives     []Life
	processes map[string]*process // by address; nobody: refused
	asked     map[string][]asked
	open, top int // questions without an answer, now and at most
}

type process struct {
	answer Answer
	alive  []string      // sids whose life is there
	takes  time.Duration // < 0: for ever
}

type asked struct {
	at   time.Time
	sids []string
}

func (c *called) Ping(ctx context.Context, addr string, lives []Life) (Answer, error) {
	c.mu.Lock()
	p := c.processes[addr]
	c.askedLocked(addr, lives)
	c.open++
	c.top = max(c.top, c.open)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open--
	}()
	if p == nil {
		return Answer{}, errors.New("connection refused")
	}
	var timer <-chan time.Time
	switch {
	case p.takes == 0:
		return p.reply(lives), nil
	case p.takes > 0:
		timer = time.After(p.takes)
	}
	select {
	case <-timer:
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	return p.reply(lives), nil
}

func (p *process) reply(lives []Life) Answer {
	a := p.answer
	for _, l := range lives {
		a.Alive = append(a.Alive, slices.Contains(p.alive, l.SID))
	}
	return a
}

func (c *called) askedLocked(addr string, lives []Life) {
	var sids []string
	for _, l := range lives {
		sids = append(sids, l.SID)
	}
	c.asked[addr] = append(c.asked[addr], asked{time.Now(), sids})
}

func (c *called) configuration() ([]Server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers), nil
}

func (c *called) Lives() []Life {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lives)
}

func (c *called) times(addr string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked[addr])
}

func (c *called) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// calling is a leader "n0" at simAddr(0) with n processes beside it, each with its
// life, each a server of the configuration.
func calling(n int) (*called, *rollCall) {
	c := &called{processes: map[string]*process{}, asked: map[string][]asked{}}
	for i := range n + 1 {
		sid, node, inc := fmt.Sprintf("s%d", i), fmt.Sprintf("n%d", i), fmt.Sprintf("i%d", i)
		c.servers = append(c.servers, Server{NodeID: node, Addr: simAddr(i)})
		c.lives = append(c.lives, Life{SID: sid, NodeID: node, Incarnation: inc, Addr: simAddr(i), Epoch: uint64(i + 1), Up: true})
		c.processes[simAddr(i)] = &process{answer: Answer{NodeID: node, SID: sid, Incarnation: inc, ClusterID: "ours"}, alive: []string{sid}}
	}
	r := &rollCall{
		self: Member{NodeID: "n0", Addr: simAddr(0)}, consensus: configured{configuration: c.configuration}, peers: c, lives: c.Lives,
		members:   func() []Member { c.mu.Lock(); defer c.mu.Unlock(); return slices.Clone(c.members) },
		clusterID: func() string { return "ours" },
		news:      make(chan struct{}),
	}
	r.local = func(lives []Life) Answer {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.askedLocked("here", lives)
		return c.processes[simAddr(0)].reply(lives)
	}
	r.forget()
	return c, r
}

// configured is a Consensus of which only the configuration is asked.
type configured struct {
	Consensus
	configuration func() ([]Server, error)
}

func (c configured) Configuration() ([]Server, error) { return c.configuration() }

// leading runs a term until the returned function ends it.
func leading(lead func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var term sync.WaitGroup
	term.Go(func() { lead(ctx) })
	return func() {
		cancel()
		term.Wait()
	}
}

func TestRollCall_AsksEachProcessOnceASecondAndItselfLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := calling(3)
		// An attached frontend, and a server that has no life.
		c.lives = append(c.lives, Life{SID: "guest", NodeID: "n1", Incarnation: "g", Addr: simAddr(1), Via: "s1", ViaEpoch: 2, Epoch: 9, Up: true})
		c.processes[simAddr(1)].alive = []string{"s1", "guest"}
		c.servers = append(c.servers, Server{NodeID: "n9", Addr: simAddr(9)})
		end := leading(r.lead)
		pass(10*time.Second + rollCallPace/2)
		for _, addr := range []string{simAddr(1), simAddr(2), simAddr(3), simAddr(9), "here"} {
			if got := c.times(addr); got != 11 {
				t.Errorf("%s was asked %d times in 10 s", addr, got)
			}
		}
		if got := c.times(simAddr(0)); got != 0 {
			t.Errorf("the leader called itself over the network %d times", got)
		}
		if diff := cmp.Diff([]string{"s1", "guest"}, c.asked[simAddr(1)][3].sids); diff != "" {
			t.Errorf("asked at the agent's (-want +got):\n%s", diff)
		}
		for _, l := range c.lives {
			if h := r.hearing(l); time.Since(h.alive) > rollCallPace || !h.missed.IsZero() {
				t.Errorf("heard of %s: %+v", l.SID, h)
			}
		}
		if a, ok := r.answer("n2"); !ok || a.SID != "s2" || time.Since(a.At) > rollCallPace {
			t.Errorf("answer of n2: %+v, %v", a, ok)
		}
		if _, ok := r.answer("n9"); ok {
			t.Error("an answer of a server that is not there")
		}
		news := r.changed()
		pass(rollCallPace)
		select {
		case <-news:
		default:
			t.Error("new answers were not announced")
		}
		end()
		if got := r.answers(); len(got) != 0 {
			t.Errorf("answers outlived the term: %v", got)
		}
		if h := r.hearing(c.lives[1]); h != (hearing{}) {
			t.Errorf("what was heard outlived the term: %+v", h)
		}
	})
}

func TestRollCall_SlowProcessesDelayNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		c, r := calling(n)
		for i := 2; i <= n; i += 2 { // every other one has vanished, packets and all
			c.processes[simAddr(i)].takes = -1
		}
		c.processes[simAddr(1)].takes = answerTimeout - time.Second // slow, but it answers
		defer leading(r.lead)()
		pass(40*time.Second + rollCallPace/2)
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := 3; i <= n; i += 2 {
			if got := len(c.asked[simAddr(i)]); got != 41 {
				t.Errorf("%s was asked %d times in 40 s", simAddr(i), got)
			}
		}
		for i := 2; i <= n; i += 2 {
			if got := len(c.asked[simAddr(i)]); got < 4 || got > 8 {
				t.Errorf("%s, silent, was asked %d times in 40 s", simAddr(i), got)
			}
			if h := r.hearing(c.lives[i]); !h.alive.IsZero() || h.missed.IsZero() || h.denied {
				t.Errorf("heard of the silent s%d: %+v", i, h)
			}
		}
		if c.open > maxSilent+1 {
			t.Errorf("%d questions wait for an answer", c.open)
		}
		if h := r.hearing(c.lives[1]); time.Since(h.alive) > answerTimeout || !h.missed.IsZero() {
			t.Errorf("heard of the slow one: %+v", h)
		}
	})
}

func TestRollCall_GossipKnowsTheNewAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := calling(2)
		c.processes[simAddr(8)] = c.processes[simAddr(1)] // it moved, with its incarnation
		c.processes[simAddr(1)] = nil
		guest := Life{SID: "guest", NodeID: "n1", Incarnation: "g", Addr: simAddr(1), Via: "s1", ViaEpoch: 2, Epoch: 9, Up: true}
		c.lives = append(c.lives, guest)
		c.processes[simAddr(8)].alive = []string{"s1", "guest"}
		c.members = []Member{{NodeID: "n1", Incarnation: "i1", Addr: simAddr(8)}, {NodeID: "n2", Incarnation: "newer", Addr: simAddr(7)}}
		defer leading(r.lead)()
		pass(rollCallPace / 2)
		if c.times(simAddr(8)) != 1 || c.times(simAddr(1)) != 0 || r.hearing(c.lives[1]).alive.IsZero() || r.hearing(guest).alive.IsZero() {
			t.Errorf("n1 was asked %d times at its old address, %d at the new one", c.times(simAddr(1)), c.times(simAddr(8)))
		}
		// Gossip speaks of another process of n2: whichever of the two is newer, the
		// life is where it said it was, and the node is asked where it is now.
		if c.times(simAddr(2)) != 1 || c.times(simAddr(7)) != 1 || r.hearing(c.lives[2]).alive.IsZero() {
			t.Errorf("n2 was asked %d times where its life was, %d where gossip sees it", c.times(simAddr(2)), c.times(simAddr(7)))
		}
		pass(5 * rollCallPace)
		c.change(func() { c.members = nil }) // gossip knows nothing: as it was written down
		pass(rollCallPace)
		if got := c.times(simAddr(1)); got != 1 {
			t.Errorf("n1 was asked %d times at the recorded address", got)
		}
	})
}

func TestRollCall_WhoseAnswerCounts(t *testing.T) {
	tests := map[string]struct {
		process        *process
		alive, denied  bool
		answers, noted string // the node id that is noted to have answered
	}{
		"the very life":           {process: &process{answer: Answer{NodeID: "n1", ClusterID: "ours"}, alive: []string{"s1"}}, alive: true, noted: "n1"},
		"restarted":               {process: &process{answer: Answer{NodeID: "n1", ClusterID: "ours"}}, denied: true, noted: "n1"},
		"somebody else's address": {process: &process{answer: Answer{NodeID: "n5", ClusterID: "ours"}}, noted: "n5"},
		"another cluster":         {process: &process{answer: Answer{NodeID: "n1", ClusterID: "theirs"}, alive: []string{"s1"}}},
		"nobody":                  {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, r := calling(1)
				c.processes[simAddr(1)] = test.process
				defer leading(r.lead)()
				pass(rollCallPace / 2)
				h := r.hearing(c.lives[1])
				if got := !h.alive.IsZero(); got != test.alive {
					t.Errorf("alive %v, want %v", got, test.alive)
				}
				if got := !h.missed.IsZero(); got == test.alive {
					t.Errorf("missed %v", got)
				}
				if h.denied != test.denied {
					t.Errorf("denied %v, want %v", h.denied, test.denied)
				}
				for _, id := range []string{"n1", "n5"} {
					if _, ok := r.answer(id); ok != (id == test.noted) {
						t.Errorf("answer of %s noted: %v", id, ok)
					}
				}
			})
		})
	}
}

func TestRollCall_ForgetsWhoIsNotThereAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := calling(2)
		defer leading(r.lead)()
		pass(rollCallPace / 2)
		gone := c.lives[2]
		c.change(func() { c.lives, c.servers = c.lives[:2], c.servers[:2] })
		pass(2 * rollCallPace)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.seats) != 2 || len(r.heard) != 2 || r.heard[gone.id()] != (hearing{}) {
			t.Errorf("%d seats, %d lives are still known", len(r.seats), len(r.heard))
		}
	})
}
