package fsm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// maxGeneration is what the upper 16 bits of an epoch hold.
const maxGeneration = 1<<16 - 1

// Recover makes this state the beginning of a new generation of its cluster, at an
// index above all that any server of the old one can have used. Whoever was up is
// not any more (their members are parked): each life that comes has an epoch above all old ones, even where
// the other servers knew of lives that this state has never heard of.
func (s *State) Recover(index uint64) error {
	switch {
	case s.halted != nil:
		return fmt.Errorf("recover the state: %w", s.halted)
	case s.clusterID == "":
		return errors.New("recover the state: no cluster was founded yet")
	case s.generation >= maxGeneration:
		return fmt.Errorf("recover the state: generation %d is the last one", s.generation)
	case !s.follows(index):
		return fmt.Errorf("recover the state: index %d after %d", index, s.Index())
	}
	s.index = index
	s.generation++
	for _, sid := range slices.Sorted(maps.Keys(s.servers)) {
		if srv := s.servers[sid]; srv.Up {
			s.endOne(srv, index, s.level)
		}
	}
	return nil
}

// Generation of the cluster: 1 at its founding, 0 before. Recovery raises it.
func (s *State) Generation() uint32 { return s.generation }

// Recover is State.Recover, of a replica that nobody else uses.
func (r *Replica) Recover(index uint64) error {
	r.lock()
	defer r.unlock()
	defer r.publishLocked()
	return r.state.Recover(index)
}
