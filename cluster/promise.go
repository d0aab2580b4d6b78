package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxReleased bounds the record. A founder that sleeps through this many
// attempts of one proposer stays bound and says so.
const maxReleased = 16

// saveTimeout is what one Save may take; see writeLocked.
const saveTimeout = 3 * time.Second

var errDiskHangs = errors.New("the disk hangs: an earlier write has not returned")

// errBound: a cluster is in sight, but a promise to found another one holds.
var errBound = errors.New("bound by a promise to found another cluster")

// ledger is this node's durable word in a founding. Its rules, each of which
// keeps two clusters from forming out of one set of founders:
//
//   - A founder is bound to one proposal at a time, and unbound only by a release.
//   - Only a proposal's proposer decides it, and only while bound to it itself;
//     so once the proposer has durably unbound itself, it can never be decided,
//     and only then does it send the release.
//   - A released proposal is never promised again, however late a request for it
//     arrives: the proposer may count that promise for nothing, but the founder
//     would be bound to it for ever.
//   - A decided proposal, and a cluster id, stay.
//
// Nothing takes effect before Save has returned. If Save fails, the disk may
// hold the old or the new record; each transition is safe under both, because
// nobody was told of the new one, and the next Save overwrites it.
type ledger struct {
	self     string
	identity Identity

	ended <-chan struct{} // no Save is waited for any longer

	turn   sync.Mutex    // held over a transition: they are one at a time
	saving chan struct{} // closed when the last Save has returned; nil: there was none; guarded by turn

	mu     sync.Mutex // guards record, which changes under turn as well
	record Record
}

func openLedger(self string, identity Identity) (*ledger, error) {
	r := cloneRecord(identity.Load())
	if r.NodeID != "" && r.NodeID != self {
		return nil, fmt.Errorf("the stored record is that of node %s, not of %s", r.NodeID, self)
	}
	r.NodeID = self
	return &ledger{self: self, identity: identity, record: r}, nil
}

func (l *ledger) current() Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cloneRecord(l.record)
}

// promise binds this founder. Asking again for the same proposal is answered
// the same way. empty is asked under the lock: may this node still be founded?
func (l *ledger) promise(p Proposal, empty func() error) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if held := l.record.Promise; held != nil && equalProposals(*held, p) {
		return nil
	}
	if err := l.unboundLocked(); err != nil {
		return err
	}
	if slices.ContainsFunc(l.record.Released, func(r Proposal) bool { return r.ClusterID == p.ClusterID }) {
		return fmt.Errorf("%w: this proposal was released", ErrPromiseRefused)
	}
	if err := empty(); err != nil {
		return fmt.Errorf("%w: %w", ErrPromiseRefused, err)
	}
	r := cloneRecord(l.record)
	p = cloneProposal(p)
	r.Promise = &p
	return l.saveLocked(r)
}

func (l *ledger) unboundLocked() error {
	switch held := l.record.Promise; {
	case l.record.ClusterID != "":
		return fmt.Errorf("%w: already of cluster %s", ErrPromiseRefused, l.record.ClusterID)
	case held != nil:
		return fmt.Errorf("%w: promised to the founding proposed by %s", ErrPromiseRefused, held.Founders[0])
	}
	return nil
}

// withdraw unbinds the proposer from its own, undecided proposal for good.
func (l *ledger) withdraw(clusterID string) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	held := l.record.Promise
	if held == nil || held.ClusterID != clusterID || l.record.Decided || held.Founders[0].NodeID != l.self {
		return fmt.Errorf("withdraw proposal %s: not an undecided one of ours", clusterID)
	}
	return l.dropLocked(*held)
}

// release is the proposer's word that p can never be decided.
func (l *ledger) release(p Proposal) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	held := l.record.Promise
	switch {
	case len(p.Founders) == 0 || p.Founders[0].NodeID == l.self:
		return fmt.Errorf("%w: a proposer releases its own proposals itself", ErrPromiseRefused)
	case l.record.ClusterID == p.ClusterID, l.record.Decided && held != nil && held.ClusterID == p.ClusterID:
		return fmt.Errorf("%w: cluster %s has been founded", ErrPromiseRefused, p.ClusterID)
	case slices.ContainsFunc(l.record.Released, func(r Proposal) bool { return r.ClusterID == p.ClusterID }):
		return nil
	}
	return l.dropLocked(p)
}

// dropLocked notes p as released and unbinds from it.
func (l *ledger) dropLocked(p Proposal) error {
	r := cloneRecord(l.record)
	if r.Promise != nil && r.Promise.ClusterID == p.ClusterID {
		r.Promise = nil
	}
	p = cloneProposal(p)
	p.Settings = nil
	r.Released = append(r.Released, p)
	if n := len(r.Released) - maxReleased; n > 0 {
		r.Released = slices.Delete(r.Released, 0, n)
	}
	return l.saveLocked(r)
}

// decide founds: all founders of the proposal that this proposer is bound to
// have promised.
func (l *ledger) decide(clusterID string) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	held := l.record.Promise
	if held == nil || held.ClusterID != clusterID || held.Founders[0].NodeID != l.self {
		return fmt.Errorf("decide proposal %s: not ours to decide", clusterID)
	}
	return l.foundLocked(clusterID)
}

// learn takes the cluster id that others have. For a founder that promised to
// it, the sight of it proves that it was decided.
func (l *ledger) learn(clusterID string) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	held := l.record.Promise
	switch {
	case l.record.ClusterID == clusterID:
		return nil
	case l.record.ClusterID != "":
		return fmt.Errorf("already of cluster %s", l.record.ClusterID)
	case held == nil:
		r := cloneRecord(l.record)
		r.ClusterID = clusterID
		return l.saveLocked(r)
	case held.ClusterID != clusterID:
		// Its proposer may be about to count this promise. Two clusters that share
		// a voter are worse than a server that waits.
		return fmt.Errorf("%w, proposed by %s", errBound, held.Founders[0])
	}
	return l.foundLocked(clusterID)
}

func (l *ledger) foundLocked(clusterID string) error {
	r := cloneRecord(l.record)
	r.ClusterID, r.Decided = clusterID, true
	return l.saveLocked(r)
}

// bootstrapped notes that the founders are in the Raft log.
func (l *ledger) bootstrapped() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.record.Bootstrapped {
		return nil
	}
	r := cloneRecord(l.record)
	r.Bootstrapped = true
	return l.saveLocked(r)
}

// admitted notes that this node is in the configuration, and how many servers are
// said to have founded the cluster (0: nobody knows).
func (l *ledger) admitted(founders int) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	r := cloneRecord(l.record)
	r.Admitted = true
	if founders > 0 {
		r.Founders = founders
	}
	if r.Admitted == l.record.Admitted && r.Founders == l.record.Founders {
		return nil
	}
	return l.saveLocked(r)
}

// founders is how many servers founded the cluster, 0 if that is not known.
func (l *ledger) founders() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.FoundedBy()
}

func (l *ledger) saveLocked(r Record) error {
	if err := l.writeLocked(cloneRecord(r)); err != nil {
		return fmt.Errorf("save the founding record: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record = r
	return nil
}

// writeLocked gives up on a disk that hangs: nobody is told of a record that may, or
// may yet, be written, and no other is until it is known.
func (l *ledger) writeLocked(r Record) error {
	t := time.NewTimer(saveTimeout)
	defer t.Stop()
	hangs := func(saving <-chan struct{}) bool {
		select {
		case <-saving:
			return false
		case <-t.C:
		case <-l.ended:
		}
		return true
	}
	if l.saving != nil && hangs(l.saving) {
		return errDiskHangs
	}
	saving, result := make(chan struct{}), error(nil)
	l.saving = saving
	go func() {
		defer close(saving)
		result = l.identity.Save(r)
	}()
	if hangs(saving) {
		return errDiskHangs
	}
	return result
}

// checkProposal refuses what no proposer would send.
func checkProposal(p Proposal) error {
	if !validID(p.ClusterID) || len(p.Founders) == 0 || len(p.Founders) > maxExpect {
		return errors.New("malformed proposal")
	}
	for i, f := range p.Founders {
		if !validID(f.NodeID) || validAddr(f.Addr) != nil {
			return errors.New("malformed founder in the proposal")
		}
		if i > 0 && p.Founders[i-1].NodeID >= f.NodeID {
			return errors.New("founders of the proposal are not sorted")
		}
	}
	return nil
}

func (f Founder) String() string { return f.NodeID + " (" + f.Addr + ")" }

func compareFounders(a, b Founder) int {
	return cmp.Or(cmp.Compare(a.NodeID, b.NodeID), cmp.Compare(a.Addr, b.Addr))
}

func equalProposals(a, b Proposal) bool {
	return a.ClusterID == b.ClusterID && slices.Equal(a.Founders, b.Founders)
}

func cloneProposal(p Proposal) Proposal {
	p.Founders, p.Settings = slices.Clone(p.Founders), slices.Clone(p.Settings)
	return p
}

func cloneRecord(r Record) Record {
	if r.Promise != nil {
		p := cloneProposal(*r.Promise)
		r.Promise = &p
	}
	r.Released = slices.Clone(r.Released)
	for i, p := range r.Released {
		r.Released[i] = cloneProposal(p)
	}
	return r
}
