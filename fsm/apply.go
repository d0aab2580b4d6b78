package fsm

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Apply applies the entry at index. It never fails halfway: either the whole
// entry was understood, and its commands take effect or are refused by the
// rules of the state, or the state halts. It keeps nothing of e but strings.
func (s *State) Apply(index uint64, e *fsmpb.Entry) Result {
	if s.halted != nil {
		return Result{Index: index, Err: s.halted}
	}
	if err := checkEntry(e); err != nil {
		return s.halt(index, err)
	}
	return s.apply(index, e)
}

// apply is Apply for an entry that checkEntry has passed.
func (s *State) apply(index uint64, e *fsmpb.Entry) Result {
	if s.halted != nil {
		return Result{Index: index, Err: s.halted}
	}
	// An index at or below the state's own would give two lives one epoch: the
	// log and the snapshot under it do not belong together.
	if index <= s.index || index >= 1<<48 {
		return s.halt(index, fmt.Errorf("%w: index %d after %d", ErrMalformed, index, s.index))
	}
	s.index = index
	r := Result{Index: index}
	switch c := e.GetCommand().(type) {
	case *fsmpb.Entry_Found:
		r.Changed = s.found(c.Found)
	case *fsmpb.Entry_Batches:
		r.Batches = make([]BatchResult, 0, len(c.Batches.GetBatches()))
		for _, b := range c.Batches.GetBatches() {
			r.Batches = append(r.Batches, s.batch(index, b))
		}
	case *fsmpb.Entry_ServerUp:
		r.Up = s.serverUp(index, c.ServerUp)
	case *fsmpb.Entry_ServerDown:
		r.Changed = s.serverDown(index, c.ServerDown)
	}
	return r
}

// halt stops the state for good: to skip what it does not understand would
// make this replica differ from those that do.
func (s *State) halt(index uint64, cause error) Result {
	s.halted = fmt.Errorf("%w at index %d: %w", ErrHalted, index, cause)
	return Result{Index: index, Err: s.halted}
}

// found names the cluster. Two founders may both have proposed it: the first
// one in the log wins, which is why the second is no error.
func (s *State) found(f *fsmpb.Found) bool {
	if s.clusterID != "" || !validFound(f) {
		return false
	}
	s.clusterID = f.GetClusterId()
	s.generation = f.GetGeneration()
	if f.GetSettings() != nil {
		s.settings = proto.CloneOf(f.GetSettings())
	}
	return true
}

// batch applies a numbered batch of an origin at most once.
func (s *State) batch(index uint64, b *fsmpb.Batch) BatchResult {
	origin := s.servers[b.GetOriginSid()]
	if origin == nil || origin.Epoch != b.GetOriginEpoch() {
		return BatchResult{Outcome: BatchFenced}
	}
	// What an ended life had done is still answered, so that its process can
	// settle its callers; only what it had not done yet is fenced off.
	switch n := b.GetNumber(); {
	case n == 0 || n < origin.lastNumber:
		return BatchResult{Outcome: BatchOld}
	case n == origin.lastNumber:
		return BatchResult{Outcome: BatchRepeated, Results: slices.Clone(origin.lastResults), Index: origin.lastIndex}
	case !origin.Up:
		return BatchResult{Outcome: BatchFenced}
	case n > origin.lastNumber+1:
		return BatchResult{Outcome: BatchGap}
	}
	var results []byte
	for _, g := range b.GetGroups() {
		results = s.group(index, origin, g, results)
	}
	origin.lastNumber = b.GetNumber()
	origin.lastResults = results
	origin.lastIndex = index
	return BatchResult{Outcome: BatchApplied, Results: slices.Clone(results), Index: index}
}
