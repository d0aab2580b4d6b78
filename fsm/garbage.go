package fsm

import (
	"math"
	"slices"
)

// What ends many memberships at once takes them out of every read at that index, in
// a time that does not depend on their number: a channel that is destroyed loses its
// name, a purged sid is marked dead. What is left of them is garbage, of which a
// bounded amount is cleared away with each entry that is applied. It is in no read,
// count, hash or snapshot, so replicas may be at different points of it; with one
// exception, see count.

const (
	// sweepCells is how many cells of purged sids leave their channels with one entry, and
	// with one purge.
	// It is part of what entries mean: count depends on it.
	sweepCells = 256
	// sweepWays is how many ways back are taken down with one entry: about 0.3 ms.
	sweepWays = 2048
)

type garbage struct {
	dead    []*sid   // purged, with cells in channels yet
	orphans []orphan // cells without a channel, whose members have ways back to it yet
	limbo   [2]limbo // by the last bit of the epoch in which they went; see pins
	came    int      // into limbo with this entry
	scratch []uint32
}

// orphan is a cell that was taken out of its channel.
type orphan struct {
	channel *channel
	cell
	next uint64 // how far its ways back are taken down
}

// limbo are ids that nothing leads to any more, but that somebody who holds a pin may have
// in hand.
type limbo struct {
	players  []uint32
	channels []uint32
	sids     []*sid
}

// countAnew is for the index from which on the count of channels matters.
func (s *State) countAnew(index uint64) {
	s.sweepCells(math.MaxInt, index)
	s.count.channels, s.count.unswept = s.count.named, 0
}

// endIfEmpty ends a channel that lost its last member.
func (s *State) endIfEmpty(cs *channels, c *channel, index uint64) {
	switch {
	case len(c.cells) == 0:
		s.count.channels--
		s.unname(cs, c, index)
	case !s.exists(c):
		s.count.channels--
	}
}

// unname takes away a channel's name.
func (s *State) unname(cs *channels, c *channel, index uint64) {
	c.ended = index
	s.order.remove(c)
	cs.names.Unlink(c.local())
	s.noteEnd(cs, c)
	s.count.named--
	s.freeChannel(cs, c)
}

// destroy ends a channel, and says whether there was one.
func (s *State) destroy(p *place, index uint64) bool {
	cs := s.channels[p.channelShard]
	c := cs.find(p.channelHash, p.name)
	if c == nil {
		return false
	}
	existed := s.exists(c)
	if existed {
		s.count.channels--
	}
	cs.noteCells(c, c.cells...)
	for _, a := range c.cells {
		sid := s.sids.at(a.sid)
		s.sids.unlink(sid, c.id)
		if n := a.members.Len(cs.mem); sid.dead == 0 {
			sid.count -= n
			s.count.add(sid, -n)
		}
		s.orphan(c, a)
	}
	c.cells, c.size = nil, 0
	s.unname(cs, c, index)
	return existed
}

func (s *State) orphan(c *channel, a cell) {
	c.orphans++
	s.sids.at(a.sid).orphans++
	s.garbage.orphans = append(s.garbage.orphans, orphan{channel: c, cell: a})
}

// destroyAll begins with new tables: what was in the old ones is for the garbage
// collector, and for a capture that reads them yet.
func (s *State) destroyAll() bool {
	existed := s.count.visible+s.count.parked > 0
	old := s.tables
	s.tables = newTables(s.seed) // by which operations of this very group were hashed
	for i := range shards {      // what was found for them is not found any more
		s.players[i].texts.Follow(old.players[i].texts)
		s.channels[i].names.Follow(old.channels[i].names)
	}
	s.garbage = garbage{}
	s.count = count{}
	return existed
}

// purge removes every member on a sid, and says whether there was one.
func (s *State) purge(name string, index uint64) bool {
	sid := s.sids.byName[name]
	if sid == nil {
		return false
	}
	existed := sid.count > 0
	s.count.add(sid, -sid.count)
	s.count.unswept += sid.channels.Len(&s.sids.mem)
	s.sids.setParked(sid, false)
	s.sids.drop(sid)
	sid.dead = index
	s.sids.shadows++
	s.garbage.dead = append(s.garbage.dead, sid)
	if existed { // a sid that only garbage needs is not there on every replica, and must not count
		s.sweepPurged(index) // mostly that is all, and the count is right at once
	}
	return existed
}

// sweep clears a bounded amount of garbage away.
func (s *State) sweep(index uint64) {
	s.sweepPurged(index)
	switch c := s.capturing(); {
	case c == nil:
		s.sweepWays(sweepWays)
	case c.notes > s.maxNotes():
		c.giveUp()
	}
	s.sweepIDs()
}

func (s *State) sweepPurged(index uint64) {
	s.count.unswept = max(0, s.count.unswept-sweepCells)
	if s.level < scaleLevel { // nothing depends on it yet, and older snapshots do not know it
		s.count.unswept = 0
	}
	s.sweepCells(sweepCells, index)
	if s.count.unswept == 0 { // then no dead cell is left anywhere
		s.count.channels = s.count.named
	}
}

// sweepCells takes cells of dead sids out of their channels.
func (s *State) sweepCells(n int, index uint64) {
	for n > 0 && len(s.garbage.dead) > 0 {
		sid := s.garbage.dead[0]
		s.garbage.scratch = s.sids.some(sid, s.garbage.scratch[:0], min(n, 64))
		for _, id := range s.garbage.scratch {
			s.detach(sid, id, index)
			n--
		}
		if sid.channels.Empty() {
			s.garbage.dead = slices.Delete(s.garbage.dead, 0, 1)
			s.sids.shadows--
			s.freeIfUnused(sid)
		}
	}
}

func (s *State) detach(sid *sid, id uint32, index uint64) {
	cs, c := s.channel(id)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	at, _ := c.cell(sid.number)
	a := c.cells[at]
	cs.noteCells(c, a)
	c.changed = max(c.changed, sid.dead)
	c.cells = slices.Delete(c.cells, at, at+1)
	c.size -= int32(a.members.Len(cs.mem))
	s.sids.unlink(sid, id)
	s.orphan(c, a)
	if len(c.cells) == 0 {
		s.unname(cs, c, index)
	}
}

// sweepWays takes down ways back of orphans, the newest first.
func (s *State) sweepWays(n int) {
	g := &s.garbage
	for n > 0 && len(g.orphans) > 0 {
		o := &g.orphans[len(g.orphans)-1]
		cs, _ := s.channel(o.channel.id)
		g.scratch = g.scratch[:0]
		next, done := o.members.Scan(cs.mem, o.next, min(n, 512), func(player uint32, _ uint64) { g.scratch = append(g.scratch, player) })
		o.next = next
		for _, player := range g.scratch {
			p, local := s.player(player)
			p.mu.Lock()
			p.unlink(local, o.sid, o.channel.id)
			s.freeIfIdle(p, local)
			p.mu.Unlock()
		}
		n -= max(len(g.scratch), 1)
		if done {
			s.bury(cs, g.orphans[len(g.orphans)-1])
		}
	}
}

// bury frees an orphan that nothing leads to.
func (s *State) bury(cs *channels, o orphan) {
	s.garbage.orphans = slices.Delete(s.garbage.orphans, len(s.garbage.orphans)-1, len(s.garbage.orphans))
	cs.mu.Lock()
	defer cs.mu.Unlock()
	o.members.Clear(cs.mem)
	o.channel.orphans--
	s.freeChannel(cs, o.channel)
	sid := s.sids.at(o.sid)
	sid.orphans--
	s.freeIfUnused(sid)
}

func (s *State) freeIfIdle(p *players, local uint32) {
	if !p.idle(local) {
		return
	}
	p.texts.Unlink(local)
	s.noteGone(p, local)
	if s.pins.none() {
		p.texts.Release(local)
		return
	}
	l := s.toLimbo()
	l.players = append(l.players, local<<shardBits|uint32(p.shard))
}

// freeChannel gives the id free of a channel that has ended.
func (s *State) freeChannel(cs *channels, c *channel) {
	switch {
	case c.ended == 0 || c.orphans > 0:
	case s.pins.none():
		cs.release(c)
	default:
		l := s.toLimbo()
		l.channels = append(l.channels, c.id)
	}
}

func (s *State) freeIfUnused(sid *sid) {
	if !sid.channels.Empty() || sid.orphans > 0 {
		return
	}
	if sid.dead == 0 {
		s.sids.setParked(sid, false)
		s.sids.drop(sid)
	}
	if s.pins.none() {
		s.sids.release(sid)
		return
	}
	l := s.toLimbo()
	l.sids = append(l.sids, sid)
}

// limbo is where ids go now.
func (s *State) limbo() *limbo { return &s.garbage.limbo[s.pins.epoch&1] }

// toLimbo is limbo for an id that goes there.
func (s *State) toLimbo() *limbo {
	s.garbage.came++
	return s.limbo()
}

// sweepIDs gives ids free that nobody can have in hand any more, a bounded number: the
// epoch ends only when none of them is left. They are more than have come, or entries
// beside reads, which pin, would fill limbo for ever.
func (s *State) sweepIDs() {
	n := sweepWays + s.garbage.came
	s.garbage.came = 0
	done := (s.pins.epoch + 1) & 1
	l := &s.garbage.limbo[done]
	if s.pins.held[done].Load() == 0 {
		s.release(l, n)
	}
	if len(l.players)+len(l.channels)+len(l.sids) == 0 && len(s.limbo().players)+len(s.limbo().channels)+len(s.limbo().sids) > 0 {
		s.pins.next()
	}
}

func (s *State) release(l *limbo, n int) {
	for range min(n, len(l.players)) {
		var id uint32
		id, l.players = pop(l.players)
		p, local := s.player(id)
		p.mu.Lock()
		p.texts.Release(local)
		p.mu.Unlock()
	}
	for range min(n, len(l.channels)) {
		var id uint32
		id, l.channels = pop(l.channels)
		cs, c := s.channel(id)
		cs.mu.Lock()
		cs.release(c)
		cs.mu.Unlock()
	}
	for range min(n, len(l.sids)) {
		var sid *sid
		sid, l.sids = pop(l.sids)
		s.sids.release(sid)
	}
}

func pop[T any](s []T) (last T, rest []T) { return s[len(s)-1], s[:len(s)-1] }
