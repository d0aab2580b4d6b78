package fsm

import "github.com/pofresh/globalchannel/fsm/internal/compact"

// crew is a channel's members on one sid, as reads see them.
type crew struct {
	sid  *sid
	set  *compact.Set // nil: the entry that is applied has taken the last one
	mem  *compact.Slab
	last uint32 // cell.changed

	was *earlierCell // what the entry has changed; nil: nothing
}

// crews are those of a channel, of sids that reads see. The zero crew is no one's.
func (s *State) crews(cs *channels, c *channel, visit func(crew) bool) {
	e := cs.earlier(c)
	for i := range c.cells {
		if sid := s.sids.at(c.cells[i].sid); sid.shown() {
			if m := crewOf(cs, e, &c.cells[i], sid); m.sid != nil && !visit(m) {
				return
			}
		}
	}
	if e == nil {
		return
	}
	for i := range e.cells.list {
		n := &e.cells.list[i]
		if _, there := c.cell(n.key); there || n.was.n == 0 {
			continue
		}
		if sid := s.sids.at(n.key); sid.shown() && !visit(vanished(cs, sid, &n.was)) {
			return
		}
	}
}

// crew is that on one sid.
func (s *State) crew(cs *channels, c *channel, sid *sid) crew {
	e := cs.earlier(c)
	if at, found := c.cell(sid.number); found {
		return crewOf(cs, e, &c.cells[at], sid)
	}
	if e != nil {
		if was := e.cells.of(sid.number); was != nil && was.n > 0 {
			return vanished(cs, sid, was)
		}
	}
	return crew{}
}

func crewOf(cs *channels, e *earlier, a *cell, sid *sid) crew {
	m := crew{sid: sid, set: &a.members, mem: cs.mem, last: a.changed}
	if e == nil {
		return m
	}
	return m.corrected(e, a.sid)
}

// corrected goes by what the entry has changed.
func (m crew) corrected(e *earlier, number uint32) crew {
	switch was := e.cells.of(number); {
	case was == nil:
	case was.n == 0:
		return crew{}
	default:
		m.last, m.was = was.changed, was
	}
	return m
}

// vanished is a crew of whom the entry has taken the last one.
func vanished(cs *channels, sid *sid, was *earlierCell) crew {
	return crew{sid: sid, mem: cs.mem, last: was.changed, was: was}
}

func (m *crew) len() int {
	switch {
	case m.sid == nil:
		return 0
	case m.was != nil:
		return m.was.n
	}
	return m.set.Len(m.mem)
}

// get is a player's session.
func (m *crew) get(player uint32) (session uint64, there bool) {
	if m.was != nil {
		if was := m.was.members.of(player); was != nil {
			return was.session, was.there
		}
	}
	if m.set == nil {
		return 0, false
	}
	return m.set.Get(m.mem, player)
}

// appendIDs appends the players.
func (m *crew) appendIDs(dst []uint32) []uint32 {
	if m.was == nil {
		if m.set == nil {
			return dst
		}
		return m.set.AppendKeys(m.mem, dst)
	}
	for player := range m.before() {
		dst = append(dst, player)
	}
	return dst
}

// valued says that somebody may hold a session.
func (m *crew) valued() bool { return m.was != nil || m.set.Valued(m.mem) }

// all are the players and their sessions.
func (m *crew) all(yield func(player uint32, session uint64) bool) {
	if m.was != nil {
		m.before()(yield)
		return
	}
	m.set.All(m.mem)(yield)
}

// before are all before the entry: those of whom nothing is noted, and those who are noted
// to have been there.
func (m crew) before() func(yield func(player uint32, session uint64) bool) {
	return func(yield func(player uint32, session uint64) bool) {
		var some sieve
		for i := range m.was.members.list {
			some.add(m.was.members.list[i].key)
		}
		if m.set != nil {
			for player, session := range m.set.All(m.mem) {
				if some.has(player) && m.was.members.of(player) != nil {
					continue
				}
				if !yield(player, session) {
					return
				}
			}
		}
		for i := range m.was.members.list {
			if n := &m.was.members.list[i]; n.was.there && !yield(n.key, n.was.session) {
				return
			}
		}
	}
}

// sieve is a set of players that lets some others through.
type sieve [64]uint64

func (s *sieve) add(player uint32) {
	at := player * 0x9E3779B1 >> 20
	s[at>>6] |= 1 << (at & 63)
}

func (s *sieve) has(player uint32) bool {
	at := player * 0x9E3779B1 >> 20
	return s[at>>6]>>(at&63)&1 != 0
}
