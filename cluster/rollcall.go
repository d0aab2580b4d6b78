package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	rollCallPace = time.Second
	// answerTimeout is long, because an answer that reaches the leader counts
	// however late it is; whoever is slow delays nobody else.
	answerTimeout = 5 * time.Second
	// maxSilent bounds the questions that wait for processes which did not answer
	// the one before: a fleet that lost half its machines has hundreds of those.
	maxSilent = 64
)

// rollCall asks, while this node leads, every process once a second who it is, how
// far, and which lives are there. What it has heard dies with the term: the next
// leader asks for itself.
type rollCall struct {
	self      Member
	consensus Consensus
	peers     Peers
	lives     func() []Life
	local     func(lives []Life) Answer
	members   func() []Member // gossip's
	clusterID func() string

	mu     sync.Mutex       // guards what follows
	seats  map[string]*seat // by address
	newest map[string]Answer
	heard  map[lifeID]hearing
	news   chan struct{} // closed at the next answer
}

// seat is one process as far as it is asked; two lives, or an attached frontend
// and its agent, at one address are asked in one question.
type seat struct {
	asking bool
	asked  time.Time // when the last question went out
	silent bool      // the last one was not answered
}

// lifeID names a life for good: epochs never come again.
type lifeID struct {
	sid   string
	epoch uint64
}

func (l Life) id() lifeID { return lifeID{l.SID, l.Epoch} }

// hearing is what this leader's questions say of one life.
type hearing struct {
	alive  time.Time // when an answer last came that it is there; zero: none has
	missed time.Time // when the newest question went out that brought no such answer; zero: none did
	denied bool      // that question was answered: by the life's own node, which says that it is not there
}

func newRollCall(o Options, l *ledger, members func() []Member) *rollCall {
	r := &rollCall{
		self: o.Self, consensus: o.Consensus, peers: o.Peers, lives: o.State.Lives, local: o.Answer,
		members: members, clusterID: func() string { return l.current().ClusterID }, news: make(chan struct{}),
	}
	r.forget()
	return r
}

// lead asks until ctx ends. Each round begins questions and waits for none: a
// process that takes its time has its own pace.
func (r *rollCall) lead(ctx context.Context) {
	t := time.NewTicker(rollCallPace)
	defer t.Stop()
	var questions sync.WaitGroup
	defer func() {
		questions.Wait()
		r.forget()
	}()
	for {
		for _, q := range r.due(r.roll()) {
			if q.addr == r.self.Addr {
				r.note(q, r.local(q.lives), nil)
				continue
			}
			questions.Go(func() { r.ask(ctx, q) })
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// forget is the end of a term.
func (r *rollCall) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seats, r.newest, r.heard = map[string]*seat{}, map[string]Answer{}, map[lifeID]hearing{}
	r.announceLocked()
}

// roll is who is to be asked for what: the servers of the configuration and the
// lives of the state, by address. What gossip has newly seen of a node id counts
// more than what was written down, but only of the very process that is meant: it
// may be late, and name the one before.
func (r *rollCall) roll() map[string][]Life {
	now := map[string]Member{}
	for _, m := range r.members() {
		now[m.NodeID] = m
	}
	roll := map[string][]Life{}
	servers, _ := r.consensus.Configuration() // none known: the lives are still asked
	for _, s := range servers {
		roll[cmp.Or(now[s.NodeID].Addr, s.Addr)] = nil
	}
	lives := r.lives()
	bySID := make(map[string]Life, len(lives))
	for _, l := range lives {
		bySID[l.SID] = l
	}
	for _, l := range lives {
		process := l.Incarnation
		if agent := bySID[l.Via]; l.Via != "" && agent.Epoch == l.ViaEpoch {
			process = agent.Incarnation
		}
		addr := l.Addr
		if m, ok := now[l.NodeID]; ok && m.Incarnation == process {
			addr = m.Addr
		}
		roll[addr] = append(roll[addr], l)
	}
	return roll
}

// ping is one question.
type ping struct {
	addr  string
	lives []Life
	sent  time.Time
}

// due takes who has no question open. Those that answered last time are asked at
// once; of the silent ones only so many at a time, who has waited longest first.
func (r *rollCall) due(roll map[string][]Life) []ping {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tidyLocked(roll)
	silent := 0
	var idle []string
	for addr := range roll {
		d := r.seats[addr]
		if d == nil {
			d = &seat{}
			r.seats[addr] = d
		}
		if d.asking && d.silent {
			silent++
		}
		if !d.asking {
			idle = append(idle, addr)
		}
	}
	slices.SortFunc(idle, func(a, b string) int { return r.seats[a].asked.Compare(r.seats[b].asked) })
	now := time.Now()
	pings := make([]ping, 0, len(idle))
	for _, addr := range idle {
		d := r.seats[addr]
		if d.silent {
			if silent == maxSilent {
				continue
			}
			silent++
		}
		d.asking, d.asked = true, now
		pings = append(pings, ping{addr: addr, lives: roll[addr], sent: now})
	}
	return pings
}

// tidyLocked forgets what is neither in the configuration nor in the state any more.
func (r *rollCall) tidyLocked(roll map[string][]Life) {
	maps.DeleteFunc(r.seats, func(addr string, d *seat) bool {
		_, there := roll[addr]
		return !there && !d.asking
	})
	known := make(map[lifeID]bool, len(r.heard))
	for _, lives := range roll {
		for _, l := range lives {
			known[l.id()] = true
		}
	}
	maps.DeleteFunc(r.heard, func(id lifeID, _ hearing) bool { return !known[id] })
}

func (r *rollCall) ask(ctx context.Context, p ping) {
	timed, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	a, err := r.peers.Ping(timed, p.addr, p.lives)
	if err == nil && foreign(a.ClusterID, r.clusterID()) {
		err = errForeign
	}
	if err == nil && len(a.Alive) != len(p.lives) {
		err = errors.New("an answer to another question")
	}
	if ctx.Err() != nil {
		return // the end of the term is nobody's silence
	}
	r.note(p, a, err)
}

func (r *rollCall) note(p ping, a Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.seats[p.addr]
	d.asking, d.silent = false, err != nil
	for i, l := range p.lives {
		h := r.heard[l.id()]
		if err == nil && a.Alive[i] {
			h.alive = time.Now()
		} else {
			h.missed, h.denied = p.sent, err == nil && a.NodeID == l.NodeID
		}
		r.heard[l.id()] = h
	}
	if err == nil {
		a.At = time.Now()
		a.Alive = nil
		r.newest[a.NodeID] = a
	}
	r.announceLocked()
}

func (r *rollCall) announceLocked() {
	close(r.news)
	r.news = make(chan struct{})
}

// hearing of a life in this term.
func (r *rollCall) hearing(l Life) hearing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[l.id()]
}

// answer is the newest of a node id in this term.
func (r *rollCall) answer(nodeID string) (Answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.newest[nodeID]
	return a, ok
}

// answers are the newest of all node ids in this term; the caller's to keep.
func (r *rollCall) answers() map[string]Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.newest)
}

// changed is closed at the next answer, or silence. Ask for it first, then look.
func (r *rollCall) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}
