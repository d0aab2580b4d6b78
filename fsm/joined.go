package fsm

import (
	"cmp"
	"slices"
)

// What a player was in before the entry that is applied: ways back say where to look, those
// that are there and those that the entry has taken away, and the channels whether it was so.

// joined is a membership.
type joined struct{ sid, channel string }

// joinedEarlier are those of a player that reads see, by sid and channel.
func (s *State) joinedEarlier(uid string) (all []joined) {
	player, ways := s.waysEarlier(uid)
	for _, w := range ways {
		if sid := s.sids.at(w.sid); sid.shown() {
			if name, in := s.nameEarlier(w.channel, player, sid); in {
				all = append(all, joined{sid.name, name})
			}
		}
	}
	slices.SortFunc(all, func(a, b joined) int { return cmp.Or(cmp.Compare(a.sid, b.sid), cmp.Compare(a.channel, b.channel)) })
	return slices.Compact(all)
}

// waysEarlier are all the ways that a player had, and others.
func (s *State) waysEarlier(uid string) (player uint32, ways []departed) {
	player = s.playerEarlier(uid, func(p *players, local uint32) {
		for _, d := range p.departed {
			if d.player == local {
				ways = append(ways, d)
			}
		}
		for g := range p.stays(local) {
			for _, channel := range g.channels {
				ways = append(ways, departed{local, g.sid, channel})
			}
		}
	})
	return player, ways
}

// playerEarlier is who reads see under a uid, or 0. look is called while the shard is locked.
func (s *State) playerEarlier(uid string, look func(p *players, local uint32)) uint32 {
	shard := shardOfString(uid)
	p := s.players[shard]
	p.mu.Lock()
	defer p.mu.Unlock()
	local := p.findEarlier(uid)
	if local == 0 {
		return 0
	}
	look(p, local)
	return local<<shardBits | uint32(shard)
}

// nameEarlier is the name of a channel, if a player was in it.
func (s *State) nameEarlier(id, player uint32, sid *sid) (name string, in bool) {
	cs := s.channels[id&(shards-1)]
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.byID[id>>shardBits]
	m := s.crew(cs, c, sid)
	if m.sid == nil {
		return "", false
	}
	if _, in = m.get(player); !in {
		return "", false
	}
	return string(c.name()), true
}

// containedEarlier is Contains.
func (s *State) containedEarlier(name, uid string) bool {
	player, sids := s.sidsEarlier(uid)
	if player == 0 {
		return false
	}
	cs, c := s.look(name)
	defer s.leave(cs)
	if c == nil {
		return false
	}
	if e := cs.earlier(c); e != nil {
		for i := range e.cells.list {
			n := &e.cells.list[i]
			if was := n.was.members.of(player); was != nil && was.there && s.sids.at(n.key).shown() {
				return true
			}
		}
	}
	for _, number := range sids {
		if sid := s.sids.at(number); sid.shown() {
			m := s.crew(cs, c, sid)
			if _, there := m.get(player); there {
				return true
			}
		}
	}
	return false
}

// sidsEarlier are those that a player has ways on: it was nowhere else, but for what
// channels have noted.
func (s *State) sidsEarlier(uid string) (player uint32, sids []uint32) {
	player = s.playerEarlier(uid, func(p *players, local uint32) {
		for number := range p.sids(local) {
			sids = append(sids, number)
		}
	})
	return player, sids
}

func channelsIn(all []joined) []string {
	names := make([]string, 0, len(all))
	for _, h := range all {
		names = append(names, h.channel)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sidsIn(all []joined) (names []string) {
	for _, h := range all {
		names = append(names, h.sid)
	}
	return slices.Compact(names)
}

func whereIn(all []joined) (where []Stay) {
	for _, h := range all {
		if n := len(where); n == 0 || where[n-1].SID != h.sid {
			where = append(where, Stay{SID: h.sid})
		}
		at := &where[len(where)-1]
		at.Channels = append(at.Channels, h.channel)
	}
	return where
}
