package fsm

import "slices"

// spot is where a membership is in the tables, or would be.
type spot struct {
	players  *players
	channels *channels
	local    uint32 // of the player in its shard; 0: in no channel
	player   uint32 // global id
	channel  *channel
	sid      *sid

	there   bool
	session uint64
}

// find fills in a spot.
func (s *State) find(sp *spot, p *place) {
	sp.players, sp.channels = s.players[p.playerShard], s.channels[p.channelShard]
	sp.local = s.playerOf(p)
	sp.player = sp.local<<shardBits | uint32(p.playerShard)
	sp.channel = s.channelOf(p)
	sp.sid = s.sids.known(p.sid)
	sp.there, sp.session = false, 0
	if sp.local == 0 || sp.channel == nil || sp.sid == nil {
		return
	}
	if set := sp.channel.members(sp.sid.number); set != nil {
		sp.session, sp.there = set.Get(sp.channels.mem, sp.player)
	}
}

// put writes a membership, new or not, and its way back.
func (s *State) put(sp *spot, p *place, session, index uint64) {
	added := s.stamp(index)
	if !sp.there {
		s.join(sp, p, session, index, added)
		return
	}
	s.noteMember(sp, membership{sp.session, true})
	sp.channel.members(sp.sid.number).Put(sp.channels.mem, sp.player, session)
	sp.channel.changed = index
	s.touch(sp, index)
}

// stamp is what a player's newest Add is remembered by. Older binaries keep none,
// and all replicas have to keep the same.
func (s *State) stamp(index uint64) uint64 {
	if s.level < parkingLevel {
		return 0
	}
	return index
}

// touch notes an Add of who is there. Below the level, what is noted is of new
// memberships only.
func (s *State) touch(sp *spot, index uint64) {
	if s.level < parkingLevel {
		return
	}
	s.notePair(sp.players, sp.local, sp.sid.number)
	sp.players.stamp(sp.local, sp.sid.number, index)
}

// join makes a membership that was not there, and what it needs.
func (s *State) join(sp *spot, p *place, session, index, added uint64) {
	if sp.sid == nil {
		sp.sid = s.sids.add(string(p.sid))
	}
	if sp.local == 0 {
		sp.local = sp.players.texts.Add(p.playerHash, p.uid)
		sp.player = sp.local<<shardBits | uint32(p.playerShard)
	}
	switch {
	case sp.channel == nil:
		sp.channel = sp.channels.begin(p.channelHash, p.channelShard, p.name)
		s.order.add(sp.channel)
		s.count.begun(true)
	case !s.exists(sp.channel):
		s.count.begun(false)
	}
	c, number := sp.channel, sp.sid.number
	s.noteMember(sp, membership{})
	s.notePair(sp.players, sp.local, number)
	at, found := c.cell(number)
	if !found {
		c.insert(at, number)
		s.sids.link(sp.sid, c.id)
	}
	c.cells[at].members.Put(sp.channels.mem, sp.player, session)
	c.cells[at].changedAt(index)
	c.size++
	c.changed = index
	sp.players.link(sp.local, number, c.id, added)
	sp.sid.count++
	s.count.add(sp.sid, 1)
}

// remove takes away a membership that is there.
func (s *State) remove(sp *spot, index uint64) {
	c, number := sp.channel, sp.sid.number
	s.noteMember(sp, membership{sp.session, true})
	s.notePair(sp.players, sp.local, number)
	at, _ := c.cell(number)
	c.cells[at].members.Delete(sp.channels.mem, sp.player)
	c.cells[at].changedAt(index)
	c.size--
	c.changed = index
	if c.cells[at].members.Empty() {
		c.cells = slices.Delete(c.cells, at, at+1)
		s.sids.unlink(sp.sid, c.id)
		s.endIfEmpty(sp.channels, c, index)
	}
	sp.players.unlink(sp.local, number, c.id)
	s.noteDeparture(sp)
	s.freeIfIdle(sp.players, sp.local)
	sp.sid.count--
	s.count.add(sp.sid, -1)
	s.freeIfUnused(sp.sid)
	sp.there = false
}

// held are the channels that a player is in on a sid; a copy.
func (s *State) held(p *place) (sp spot, in []*channel) {
	sp.players = s.players[p.playerShard]
	sp.local, sp.sid = s.playerOf(p), s.sids.known(p.sid)
	sp.player = sp.local<<shardBits | uint32(p.playerShard)
	if sp.local == 0 || sp.sid == nil {
		return sp, nil
	}
	g, _ := sp.players.stay(sp.local, sp.sid.number)
	for _, id := range g.channels {
		if _, c := s.channel(id); c.ended == 0 {
			in = append(in, c)
		}
	}
	return sp, in
}

// holds says whether a player has any membership on a sid.
func (s *State) holds(p *place) bool {
	_, in := s.held(p)
	return len(in) > 0
}

// sessionIn is what a player who is in a channel holds there.
func (s *State) sessionIn(sp *spot, c *channel) uint64 {
	session, _ := c.members(sp.sid.number).Get(s.channels[c.id&(shards-1)].mem, sp.player)
	return session
}

// leaveAll removes what a player holds on a sid, of sessions up to the given
// one if that is not 0. It costs that player's memberships there and no more.
func (s *State) leaveAll(p *place, session, index uint64) (changed bool) {
	sp, in := s.held(p)
	for _, c := range in {
		sp.channels, sp.channel = s.channels[c.id&(shards-1)], c
		sp.session, sp.there = s.sessionIn(&sp, c), true
		if session == 0 || sp.session <= session {
			s.remove(&sp, index)
			changed = true
		}
	}
	return changed
}

// prune is leaveAll for a player who was found to be offline by somebody who had
// applied the log up to seen. Who was added since is not the one who was looked for.
func (s *State) prune(p *place, seen, index uint64) bool {
	sp, in := s.held(p)
	if len(in) == 0 {
		return false
	}
	if g, _ := sp.players.stay(sp.local, sp.sid.number); g.added > seen {
		return false
	}
	return s.leaveAll(p, 0, index)
}

// exists says whether a channel has members that have not been purged.
func (s *State) exists(c *channel) bool {
	if s.sids.shadows == 0 {
		return len(c.cells) > 0
	}
	return slices.ContainsFunc(c.cells, func(a cell) bool { return s.sids.at(a.sid).dead == 0 })
}

// existed is exists for reads.
func (s *State) existed(c *channel) bool {
	e := s.earlier(c)
	switch {
	case e == nil:
		return s.exists(c)
	case s.sids.shadows == 0:
		return true
	}
	return slices.ContainsFunc(e.cells.list, func(n noted[uint32, earlierCell]) bool { return n.was.n > 0 }) ||
		slices.ContainsFunc(c.cells, func(a cell) bool { return s.sids.at(a.sid).dead == 0 && e.cells.of(a.sid) == nil })
}

// lastChange is the index of a channel's last change: a purge is noted in a channel
// only when what it left there is cleared away.
func (s *State) lastChange(c *channel) uint64 {
	changed := c.changed
	if e := s.earlier(c); e != nil {
		changed = e.changed
	}
	if s.sids.shadows > 0 {
		for i := range c.cells {
			changed = max(changed, s.sids.at(c.cells[i].sid).dead)
		}
	}
	return changed
}
