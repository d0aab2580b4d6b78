package fsm

import (
	"math/bits"
	"sync"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// A read is of one index, and an entry of thousands of operations takes milliseconds. So
// that reads need not wait for it, it is applied beside them: whoever changes a channel
// first notes how that was before the entry, and a read that finds notes goes by them.
// Both lock the shard that they look at. Reads are kept out for a moment where the entry
// begins, and from its end, or the first operation that is more than a member who comes or
// goes, until all is done and nobody needs the notes.

// beside is an entry that is applied beside reads. What is noted is in the shards.
type beside struct {
	pinned uint64 // epoch of the writer's pin: no id is given to others meanwhile
	shards locks  // in which something was noted, maybe
}

// earlier is how a channel was before the entry.
type earlier struct {
	channel *channel
	born    bool // it was not there
	changed uint64
	size    int
	cells   notes[uint32, earlierCell] // by sid number
}

// earlierCell is how a cell was.
type earlierCell struct {
	changed uint32
	n       int                       // members; 0: it was not there
	members notes[uint32, membership] // those that have changed, by player
}

// departed is a way back that a player had.
type departed struct{ player, sid, channel uint32 }

// letReadsIn begins an entry beside reads. They have been kept out.
func (s *State) letReadsIn(gate sync.Locker) {
	s.gate, s.beside.pinned = gate, s.pins.pin() // reads look at the gate
	gate.Unlock()
}

// keepReadsOut waits until nobody reads, and forgets what the entry has changed. It is safe
// to repeat.
func (s *State) keepReadsOut() {
	if s.gate == nil {
		return
	}
	s.gate.Lock()
	s.gate = nil
	b := &s.beside
	s.pins.unpin(b.pinned)
	for m := b.shards.players; m != 0; m &= m - 1 {
		p := s.players[bits.TrailingZeros64(m)]
		p.gone, p.departed = emptied(p.gone), emptied(p.departed)
	}
	for m := b.shards.channels; m != 0; m &= m - 1 {
		cs := s.channels[bits.TrailingZeros64(m)]
		for i := range cs.notes {
			cs.notes[i].clear()
		}
		cs.notes, cs.gone = cs.notes[:0], emptied(cs.gone)
		if cap(cs.notes) > notesKept {
			cs.notes = nil
		}
	}
	b.shards = locks{}
}

// notesKept is how many notes of a kind a shard keeps the memory of.
const notesKept = 64

func emptied[T any](s []T) []T {
	if clear(s); cap(s) > notesKept {
		return nil
	}
	return s[:0]
}

// besideReads says whether operations change nothing but members of channels, so that
// there are notes of all that they do. The shards that they need are not locked: whoever
// waits until nobody reads must hold none.
func (s *State) besideReads(ops []op) bool {
	for i := range ops {
		if kind := ops[i].kind; kind != fsmpb.OpKind_OP_ADD && kind != fsmpb.OpKind_OP_LEAVE {
			return false
		}
		if sid := s.sids.known(ops[i].sid); sid == nil || sid.count <= len(ops) { // it may come or go
			return false
		}
	}
	return true
}

// noteMember is called before a membership changes.
func (s *State) noteMember(sp *spot, was membership) {
	if sp.channels.undo != nil {
		sp.channels.noteMember(sp.channel, sp.sid.number, sp.player, was)
	}
	if s.gate != nil {
		s.noteEarlier(sp, was)
	}
}

func (s *State) noteEarlier(sp *spot, was membership) {
	c, number := sp.channel, sp.sid.number
	e := sp.channels.note(c)
	cell := e.cells.of(number)
	if cell == nil {
		cell = e.cells.add(number)
		cell.changed, cell.n = 0, 0
		if at, found := c.cell(number); found {
			cell.changed, cell.n = c.cells[at].changed, c.cells[at].members.Len(sp.channels.mem)
		}
	}
	if cell.members.of(sp.player) == nil {
		cell.members.note(sp.player, was)
	}
}

// note is where to note how a channel was.
func (cs *channels) note(c *channel) *earlier {
	if c.noted == 0 {
		if n := len(cs.notes); n < cap(cs.notes) {
			cs.notes = cs.notes[:n+1] // with its memory
		} else {
			cs.notes = append(cs.notes, earlier{})
		}
		c.noted = int32(len(cs.notes))
		e := cs.earlier(c)
		e.channel, e.born, e.changed, e.size = c, len(c.cells) == 0, c.changed, int(c.size)
	}
	return cs.earlier(c)
}

// earlier is nil if the entry has not changed the channel.
func (cs *channels) earlier(c *channel) *earlier {
	if c.noted == 0 {
		return nil
	}
	return &cs.notes[c.noted-1]
}

func (s *State) earlier(c *channel) *earlier { return s.channels[c.id&(shards-1)].earlier(c) }

func (e *earlier) clear() {
	e.channel.noted, e.channel = 0, nil
	for i := range e.cells.list {
		e.cells.list[i].was.members.clear()
	}
	e.cells.clear()
}

// noteDeparture is called when a player's way back was taken away.
func (s *State) noteDeparture(sp *spot) {
	if s.gate != nil {
		sp.players.departed = append(sp.players.departed, departed{sp.local, sp.sid.number, sp.channel.id})
	}
}

// noteEnd is called when a channel has lost its name.
func (s *State) noteEnd(cs *channels, c *channel) {
	if s.gate != nil {
		cs.gone = append(cs.gone, c)
	}
}

// noteGone is called when a player is in no channel any more.
func (s *State) noteGone(p *players, local uint32) {
	if s.gate != nil {
		p.gone = append(p.gone, local)
	}
}

// findEarlier is findString before the entry. The shard is locked.
func (cs *channels) findEarlier(name string) *channel {
	if c := cs.findString(name); c != nil && !cs.born(c) {
		return c
	}
	for _, c := range cs.gone { // another one may have its name by now
		if !cs.born(c) && string(c.name()) == name {
			return c
		}
	}
	return nil
}

// born says that the entry has begun a channel.
func (cs *channels) born(c *channel) bool { return c.noted != 0 && cs.earlier(c).born }

// findEarlier is the local id that a player had before the entry, or 0. One that came with
// the entry may be found as well: no note says that it was anywhere. The shard is locked.
func (p *players) findEarlier(uid string) uint32 {
	for _, local := range p.gone { // the first of that name is the one that was there
		if string(p.texts.Text(local)) == uid {
			return local
		}
	}
	return p.texts.FindString(uid)
}
