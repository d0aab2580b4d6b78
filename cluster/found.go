package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// settleTime: the founders seen must have been the same for this long before
	// anybody proposes, so that one founder too many, started together with the
	// others, is seen in time.
	settleTime     = time.Second
	promiseTimeout = 3 * time.Second
)

// founding brings an empty server into a cluster id: as a founder, or by seeing
// somebody else's. step is called again and again by one goroutine; handle by
// any.
type founding struct {
	self      Member
	settings  []byte
	ledger    *ledger
	consensus Consensus
	peers     Peers
	members   func() []Member
	contacted func() bool // every seed has been tried once: an existing cluster would have been seen
	logger    *slog.Logger

	// Of the goroutine that calls step.
	view  []Founder // what was seen last
	since time.Time // since when
	told  map[string]bool
}

func newFounding(o Options, l *ledger, members func() []Member, contacted func() bool, log *slog.Logger) *founding {
	self := o.Self
	self.Expect = o.Expect
	return &founding{
		self: self, settings: slices.Clone(o.Settings), ledger: l, consensus: o.Consensus, peers: o.Peers,
		members: members, contacted: contacted, logger: log, told: make(map[string]bool),
	}
}

// step does what can be done now and says in words what it waits for.
func (f *founding) step(ctx context.Context) string {
	f.sendReleases(ctx)
	r := f.ledger.current()
	if r.ClusterID == "" && r.Promise != nil && f.founded() {
		// The proposer may be lost for good, and nobody else in sight yet.
		if err := f.ledger.learn(r.Promise.ClusterID); err != nil {
			return err.Error()
		}
		r = f.ledger.current()
	}
	if r.ClusterID != "" {
		return f.establish(ctx, r)
	}
	members := f.members()
	if ids := clusterIDs(members); len(ids) > 0 {
		return f.adopt(ctx, ids)
	}
	founders := foundersOf(members)
	settled := f.settled(founders)
	if f.self.Expect == 0 {
		return fmt.Sprintf("no cluster in sight: %d servers seen, founders among them: %s", len(members), list(founders))
	}
	if problem := f.objection(founders); problem != "" {
		return problem
	}
	if r.Promise != nil && r.Promise.Founders[0].NodeID != f.self.NodeID {
		return fmt.Sprintf("promised to the founding proposed by %s, which has not decided yet; "+
			"if that server is lost for good, start this one with an empty data directory", r.Promise.Founders[0])
	}
	if len(founders) < f.self.Expect {
		return fmt.Sprintf("%d of %d founders seen: %s", len(founders), f.self.Expect, list(founders))
	}
	if !settled {
		return fmt.Sprintf("%d of %d founders seen, about to found", len(founders), f.self.Expect)
	}
	return f.propose(ctx, r)
}

// propose drives this node's own proposal; with r.Promise it has made one, in
// an earlier life perhaps.
func (f *founding) propose(ctx context.Context, r Record) string {
	if r.Promise == nil {
		if f.view[0].NodeID != f.self.NodeID {
			return fmt.Sprintf("waiting for %s to propose the founding", f.view[0])
		}
		p := Proposal{ClusterID: uuid.NewString(), Founders: slices.Clone(f.view), Settings: f.settings}
		if err := f.ledger.promise(p, f.empty); err != nil {
			return "found a cluster: " + err.Error()
		}
		r.Promise = &p
	} else if !slices.Equal(r.Promise.Founders, f.view) {
		// As many founders as expected are here and one of the proposal is not
		// among them: a diskless one came back under a new node id, or one has moved.
		if err := f.ledger.withdraw(r.Promise.ClusterID); err != nil {
			return err.Error()
		}
		f.logger.Info("founding proposal given up: its founders have changed", "proposal", r.Promise.ClusterID)
		f.sendReleases(ctx)
		return "proposing the founding anew"
	}
	if waiting := f.solicit(ctx, *r.Promise); len(waiting) > 0 {
		return "founding waits for the promise of " + strings.Join(waiting, ", ")
	}
	if err := f.ledger.decide(r.Promise.ClusterID); err != nil {
		return err.Error()
	}
	f.logger.Info("cluster founded", "cluster", r.Promise.ClusterID, "founders", len(r.Promise.Founders))
	return f.establish(ctx, f.ledger.current())
}

// solicit asks all other founders at once and returns those who did not promise.
func (f *founding) solicit(ctx context.Context, p Proposal) []string {
	ctx, cancel := context.WithTimeout(ctx, promiseTimeout)
	defer cancel()
	answers := make([]error, len(p.Founders))
	var group sync.WaitGroup
	for i, to := range p.Founders {
		if to.NodeID != f.self.NodeID {
			group.Go(func() { answers[i] = f.peers.Promise(ctx, to.Addr, cloneProposal(p), false) })
		}
	}
	group.Wait()
	var waiting []string
	for i, err := range answers {
		if err != nil {
			waiting = append(waiting, fmt.Sprintf("%s: %v", p.Founders[i], err))
		}
	}
	return waiting
}

// adopt takes a cluster id that is in sight.
func (f *founding) adopt(ctx context.Context, ids []string) string {
	r := f.ledger.current()
	id := ids[0]
	if r.Promise != nil && slices.Contains(ids, r.Promise.ClusterID) {
		id = r.Promise.ClusterID
	} else if len(ids) > 1 {
		return "several clusters are in sight, which one is meant? " + strings.Join(ids, ", ")
	} else if r.Promise != nil && r.Promise.Founders[0].NodeID == f.self.NodeID {
		if err := f.ledger.withdraw(r.Promise.ClusterID); err != nil {
			return err.Error()
		}
	}
	if err := f.ledger.learn(id); errors.Is(err, errBound) {
		return fmt.Sprintf("cluster %s is in sight, but this server is %v; "+
			"if that server is lost for good, start this one with an empty data directory", id, err)
	} else if err != nil {
		return err.Error()
	}
	f.logger.Info("cluster found", "cluster", id)
	return f.establish(ctx, f.ledger.current())
}

// establish writes the founders into the Raft log, once. Every founder does: the
// entries are equal, and the cluster lives even if the proposer never comes back.
func (f *founding) establish(ctx context.Context, r Record) string {
	if !r.Decided || r.Bootstrapped {
		return ""
	}
	servers, err := f.consensus.Configuration()
	if err == nil && len(servers) == 0 {
		err = f.consensus.Bootstrap(ctx, votersOf(*r.Promise))
		if again, cerr := f.consensus.Configuration(); cerr == nil && len(again) > 0 {
			err = nil // another founder's Raft was faster than this one's
		}
	}
	if err == nil {
		err = f.ledger.bootstrapped()
	}
	if err != nil {
		return "bootstrap: " + err.Error()
	}
	return ""
}

// handle is the other founders' side.
func (f *founding) handle(p Proposal, release bool) error {
	if err := checkProposal(p); err != nil {
		return fmt.Errorf("%w: %w", ErrPromiseRefused, err)
	}
	me := slices.IndexFunc(p.Founders, func(x Founder) bool { return x.NodeID == f.self.NodeID })
	if me < 0 {
		return fmt.Errorf("%w: %s is not one of its founders", ErrPromiseRefused, f.self.NodeID)
	}
	if release {
		return f.ledger.release(p)
	}
	if f.self.Expect != len(p.Founders) || p.Founders[me].Addr != f.self.Addr {
		return fmt.Errorf("%w: %s is at %s and expects %d founders", ErrPromiseRefused, f.self.NodeID, f.self.Addr, f.self.Expect)
	}
	if seen := foundersOf(f.members()); f.objection(seen) != "" {
		return fmt.Errorf("%w: %s", ErrPromiseRefused, f.objection(seen))
	} else if slices.ContainsFunc(seen, func(m Member) bool { return !slices.ContainsFunc(p.Founders, m.is) }) {
		return fmt.Errorf("%w: %s sees other founders: %s", ErrPromiseRefused, f.self.SID, list(seen))
	}
	return f.ledger.promise(p, f.empty)
}

// sendReleases tells founders in sight of withdrawn proposals, each of their
// processes once: who was bound and asleep hears of it when it is back.
func (f *founding) sendReleases(ctx context.Context) {
	type call struct {
		key, addr string
		proposal  Proposal
		done      bool
	}
	var calls []*call
	members := f.members()
	for _, p := range f.ledger.current().Released {
		for _, m := range members {
			key := p.ClusterID + "/" + m.Incarnation
			if p.Founders[0].NodeID == f.self.NodeID && m.NodeID != f.self.NodeID && !f.told[key] && slices.ContainsFunc(p.Founders, m.same) {
				calls = append(calls, &call{key: key, addr: m.Addr, proposal: p})
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, promiseTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, c := range calls {
		group.Go(func() {
			err := f.peers.Promise(ctx, c.addr, c.proposal, true)
			c.done = err == nil || errors.Is(err, ErrPromiseRefused)
		})
	}
	group.Wait()
	for _, c := range calls {
		if c.done {
			f.told[c.key] = true
		}
	}
}

// settled notes the founders seen and tells whether they have stayed the same.
func (f *founding) settled(founders []Member) bool {
	view := make([]Founder, len(founders))
	for i, m := range founders {
		view[i] = Founder{NodeID: m.NodeID, Addr: m.Addr}
	}
	slices.SortFunc(view, compareFounders)
	if now := time.Now(); !slices.Equal(view, f.view) || f.since.IsZero() {
		f.view, f.since = view, now
	}
	return f.contacted() && (len(view) == 1 || time.Since(f.since) >= settleTime)
}

// founded: another founder's Raft has told this one who the voters are, so the
// proposal that both promised to was decided. Nobody else could: this node has
// asked no cluster to let it in.
func (f *founding) founded() bool {
	servers, err := f.consensus.Configuration()
	return err == nil && slices.ContainsFunc(servers, func(s Server) bool { return s.NodeID == f.self.NodeID })
}

// empty: only a server without any Raft history may be a founder.
func (f *founding) empty() error {
	servers, err := f.consensus.Configuration()
	if err != nil {
		return err
	}
	if len(servers) > 0 || f.consensus.LastIndex() > 0 {
		return errors.New("this server's log is not empty")
	}
	return nil
}
