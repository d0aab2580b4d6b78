package fsm

import "github.com/pofresh/globalchannel/fsm/internal/compact"

// sid is a server's id as the channels know it, while it has members. What a
// sid's life does to its members is one flag here, whatever their number. After a
// purge the name goes on with a new sid, and the old one is dead: what is left of
// it in the channels is in no read and is cleared away bit by bit (garbage.go).
type sid struct {
	name   string
	number uint32
	parked bool   // the life has ended: no read sees the members
	dead   uint64 // index of the purge; 0: none
	count  int    // memberships; of a dead one no longer kept

	channels compact.Set // ids of those that have a cell of it
	orphans  int         // cells of it that were taken out of their channel, and have ways back yet
}

func (s *sid) shown() bool { return !s.parked && s.dead == 0 }

// sids are all that have members, by name and by number. The numbers are this
// replica's own.
type sids struct {
	byName map[string]*sid
	mem    compact.Slab
	slots  []*sid // by number, 0 is none
	free   []uint32
	last   *sid // that the writer asked for: the next one is often the same

	// shadows says how many are parked or dead. While there are none, every cell of a
	// channel counts.
	shadows int
}

func newSIDs() *sids {
	return &sids{byName: make(map[string]*sid), slots: []*sid{nil}}
}

// at is for the numbers of cells and ways, which are in use.
func (t *sids) at(number uint32) *sid { return t.slots[number] }

// find is for readers.
func (t *sids) find(name string) *sid { return t.byName[name] }

// known is find for the writer.
func (t *sids) known(name []byte) *sid {
	if t.last == nil || t.last.name != string(name) {
		t.last = t.byName[string(name)]
	}
	return t.last
}

func (t *sids) add(name string) *sid {
	s := &sid{name: name}
	if n := len(t.free); n > 0 {
		s.number, t.free = t.free[n-1], t.free[:n-1]
		t.slots[s.number] = s
	} else {
		s.number = uint32(len(t.slots))
		t.slots = append(t.slots, s)
	}
	t.byName[name] = s
	return s
}

// drop takes the name away; the number stays in use until it is released.
func (t *sids) drop(s *sid) {
	delete(t.byName, s.name)
	t.last = nil
}

func (t *sids) release(s *sid) {
	t.slots[s.number] = nil
	t.free = append(t.free, s.number)
}

func (t *sids) link(s *sid, channel uint32) { s.channels.Put(&t.mem, channel, 0) }

func (t *sids) unlink(s *sid, channel uint32) { s.channels.Delete(&t.mem, channel) }

// some are channels of a sid, about so many of them.
func (t *sids) some(s *sid, dst []uint32, n int) []uint32 {
	s.channels.Scan(&t.mem, 0, n, func(id uint32, _ uint64) { dst = append(dst, id) })
	return dst
}

func (t *sids) setParked(s *sid, parked bool) {
	if s.parked == parked {
		return
	}
	s.parked = parked
	if parked {
		t.shadows++
	} else {
		t.shadows--
	}
}
