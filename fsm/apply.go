package fsm

import (
	"fmt"
	"sync"

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
	c := command{version: e.GetVersion(), other: e}
	if b, ok := e.GetCommand().(*fsmpb.Entry_Batches); ok {
		c.other, c.batches = nil, batchesOf(b.Batches)
	}
	return s.apply(index, c)
}

// command is an entry that was found good. Batches need no messages: they are
// most of what a log holds.
type command struct {
	version uint32
	other   *fsmpb.Entry // nil: batches
	batches []batch
	gate    sync.Locker // reads that may go on beside the batches are kept out by it; nil: there are none
}

// ops is how many operations there are.
func (c *command) ops() (n int) {
	for i := range c.batches {
		n += c.batches[i].count
	}
	return n
}

func (s *State) apply(index uint64, c command) Result {
	if s.halted != nil {
		return Result{Index: index, Err: s.halted}
	}
	// An index at or below the state's own would give two lives one epoch: the
	// log and the snapshot under it do not belong together.
	if !s.follows(index) {
		return s.halt(index, fmt.Errorf("%w: index %d after %d", ErrMalformed, index, s.index))
	}
	raised := s.raise(index, c.version) // whoever wrote it knew that everybody can read it
	r := Result{Index: index}
	switch o := c.other.GetCommand().(type) {
	case *fsmpb.Entry_Found:
		r.Changed = s.found(o.Found)
	case *fsmpb.Entry_ServerUp:
		r.Up = s.serverUp(index, o.ServerUp, c.version)
	case *fsmpb.Entry_ServerDown:
		r.Changed = s.serverDown(index, o.ServerDown, c.version)
	case *fsmpb.Entry_Forget:
		r.Changed = s.forget(index, o.Forget.GetIndex())
	case *fsmpb.Entry_RaiseLevel:
		r.Changed = s.raise(index, o.RaiseLevel.GetLevel()) || raised
	case *fsmpb.Entry_SetSettings:
		r.Changed = s.setSettings(index, o.SetSettings)
	case *fsmpb.Entry_Checkpoint: // see Replica.Apply
	default:
		r.Batches = s.batches(index, c)
	}
	s.sweep(index)
	s.index = index
	return r
}

// follows says whether an index can be the next one.
func (s *State) follows(index uint64) bool { return index > s.index && index < 1<<48 }

// halt stops the state for good: to skip what it does not understand would
// make this replica differ from those that do.
func (s *State) halt(index uint64, cause error) Result {
	s.halted = fmt.Errorf("%w at index %d: %w", ErrHalted, index, cause)
	return Result{Index: index, Err: s.halted}
}

// raise never goes back: what was written at a level stays in the log.
func (s *State) raise(index uint64, level uint32) bool {
	if level <= s.level {
		return false
	}
	if s.level < scaleLevel && level >= scaleLevel {
		s.countAnew(index)
	}
	s.level = level
	return true
}

// setSettings says whether this wish is, or was, fulfilled. One that was made
// before the settings changed last is not: whoever made it must look again.
func (s *State) setSettings(index uint64, o *fsmpb.SetSettings) bool {
	switch {
	case !validName(o.GetId()) || o.GetSettings() == nil:
		return false
	case o.GetId() == s.settingsID:
		return true
	case s.settingsIndex > o.GetSeen():
		return false
	}
	s.settings = proto.CloneOf(o.GetSettings())
	s.settingsIndex, s.settingsID = index, o.GetId()
	return true
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
