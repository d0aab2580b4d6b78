package fsm

import (
	"maps"
	"slices"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// A life that has ended may have been a mistake: its process was paused, or cut
// off. So its members are parked. They stay where they are, out of every read and
// count, and whoever removes somebody removes the parked ones too. The same process
// takes back what is left in the entry that registers it again; another process
// under that sid, or Forget, drops it.

// parkingLevel is from when on members are parked, and the state keeps what that
// needs. Below, the end of a life purges them.
const parkingLevel = 3

// park hides the members of a sid, whatever their number, and counts them.
func (s *State) park(name string) int {
	sid := s.sids.byName[name]
	if sid == nil {
		return 0
	}
	n := sid.count
	s.count.add(sid, -n)
	s.sids.setParked(sid, true)
	s.count.add(sid, n)
	return n
}

// resume gives the parked members of a life to the next one of the same process,
// but for those whom it meant to remove and does not know whether it has. It says
// how many come back.
func (s *State) resume(index uint64, old *server, r *fsmpb.Resume) int {
	real := &ledger{State: s, at: index}
	for _, batch := range r.GetRemovals() {
		// The batches up to the last one were applied, and the process will hear
		// with what results. To remove again could hit an Add that came after. What is
		// about an earlier life was dealt with when the one after it was registered.
		if n := batch.GetNumber(); r.GetEpoch() != old.Epoch || n != 0 && n <= old.lastNumber {
			continue
		}
		for _, o := range batch.GetOps() {
			if o.GetSid() == old.SID && o.GetEpoch() >= old.firstEpoch && o.GetEpoch() <= old.Epoch {
				s.removeUnanswered(real, opOf(o))
			}
		}
	}
	sid := s.sids.byName[old.SID]
	if sid == nil {
		return 0
	}
	n := sid.count
	s.count.add(sid, -n)
	s.sids.setParked(sid, false)
	s.count.add(sid, n)
	return n
}

// removeUnanswered does what a Leave or a LeaveAll of that life would have done.
func (s *State) removeUnanswered(b book, o op) {
	s.locate(&o.place)
	need := s.locksOf([]op{o})
	s.lock(need) // against a capture
	defer s.unlock(need)
	switch {
	case !validOpText(o.uid, MaxNameBytes):
	case o.kind == fsmpb.OpKind_OP_LEAVE && validOpText(o.name, MaxNameBytes):
		leave(b, &o)
	case o.kind == fsmpb.OpKind_OP_LEAVE_ALL && len(o.name) == 0:
		b.leaveAll(&o.place, o.session)
	}
}

// asPredecessor is what a process must know of its life that has ended: which of
// its batches were applied, and what became of its members.
func (o *server) asPredecessor(restored int) *fsmpb.Predecessor {
	p := &fsmpb.Predecessor{Epoch: o.Epoch, LastNumber: o.lastNumber, Restored: uint64(restored), Uncounted: o.purged}
	if lost := o.parked - restored; lost > 0 {
		p.Missed = uint64(lost)
	}
	for i, a := range o.kept {
		number := o.lastNumber - uint64(len(o.kept)-1-i)
		p.Kept = append(p.Kept, &fsmpb.BatchRecord{Number: number, Index: a.index, Results: a.results})
	}
	return p
}

// forget drops the lives that ended up to an index, with all that is parked under
// them. What comes for one of them later must not be taken for the first word of
// a new server: forgotten is the one tombstone for all of them.
func (s *State) forget(index, upTo uint64) bool {
	upTo = min(upTo, index)
	if upTo <= s.forgotten {
		return false
	}
	s.forgotten = upTo
	for _, sid := range slices.Sorted(maps.Keys(s.servers)) { // the count of channels depends on the order of purges
		if srv := s.servers[sid]; !srv.Up && srv.Changed <= upTo {
			s.purge(sid, index)
			delete(s.servers, sid)
			s.records++
		}
	}
	return true
}
