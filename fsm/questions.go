package fsm

import (
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// Count is how many (uid, sid) pairs a channel has.
func (s *State) Count(name string) int {
	cs, c := s.look(name)
	defer s.leave(cs)
	switch {
	case c == nil:
		return 0
	case s.sids.shadows > 0:
		n := 0
		s.crews(cs, c, func(m crew) bool {
			n += m.len()
			return true
		})
		return n
	case c.noted != 0:
		return cs.earlier(c).size
	}
	return int(c.size)
}

// CountBySID is how many members a channel has on one server.
func (s *State) CountBySID(name, sid string) int {
	on := s.shown(sid)
	if on == nil {
		return 0
	}
	cs, c := s.look(name)
	defer s.leave(cs)
	if c == nil {
		return 0
	}
	m := s.crew(cs, c, on)
	return m.len()
}

// Contains says whether a player is in a channel, on whatever server. The player's ways
// back tell, so nothing of the channel but its name is looked at. Names and ways are
// followed side by side; see warm.go.
func (s *State) Contains(name, uid string) bool {
	if s.gate != nil {
		return s.containedEarlier(name, uid)
	}
	playerShard, channelShard := shardOfString(uid), shardOfString(name)
	p, names := s.players[playerShard], s.channels[channelShard].names
	uidHash, nameHash := compact.HashString(s.seed, uid), compact.HashString(s.seed, name)
	near(p.texts.FirstSlot(uidHash), names.FirstSlot(nameHash))
	local, channel := p.texts.Guess(uidHash), names.Guess(nameHash)
	if local == 0 || channel == 0 {
		return false
	}
	near(p.texts.Record(local), names.Record(channel))
	if ways := compact.Ref(p.texts.Data(local)); ways != 0 {
		near(p.mem.Word(ways, 0), p.texts.Word(local))
	}
	near(names.Word(channel), nil)
	if string(p.texts.Text(local)) != uid || string(names.Text(channel)) != name {
		local, channel = p.texts.FindString(uid), names.FindString(name)
		if local == 0 || channel == 0 {
			return false
		}
	}
	return s.isIn(p, local, channel<<shardBits|uint32(channelShard))
}

// waysToScan is up to how many words of ways back are looked through.
const waysToScan = 128

// isIn says whether a player is in a channel that has not ended.
func (s *State) isIn(p *players, local, channel uint32) bool {
	b := p.block(local)
	if b == nil || len(b) > waysToScan {
		return s.isInSets(p, local, channel)
	}
	for at := 1; at < len(b); {
		g := stayAt(b, at)
		if slices.Contains(g.channels, channel) && s.sids.at(g.sid).shown() {
			return true
		}
		at += stayHead + len(g.channels)
	}
	return false
}

func (s *State) isInSets(p *players, local, channel uint32) bool {
	cs, c := s.channel(channel)
	for sid := range p.sids(local) {
		if set := c.members(sid); set != nil && s.sids.at(sid).shown() && has(cs.mem, set, local<<shardBits|uint32(p.shard)) {
			return true
		}
	}
	return false
}

// near reads two words at once, where they are not nil.
//
//go:noinline
func near(a, b *uint32) (sum uint32) {
	if a != nil {
		sum = *a
	}
	if b != nil {
		sum += *b
	}
	return sum
}

// seenAs is the player that reads see under a uid, or 0.
func (s *State) seenAs(uid string) uint32 {
	if s.gate != nil {
		return s.playerEarlier(uid, func(*players, uint32) {})
	}
	shard := shardOfString(uid)
	local := s.players[shard].texts.FindString(uid)
	if local == 0 {
		return 0
	}
	return local<<shardBits | uint32(shard)
}

// MembersOf are the memberships of one player in a channel.
func (s *State) MembersOf(name, uid string) (members []Member) {
	player := s.seenAs(uid)
	if player == 0 {
		return nil
	}
	cs, c := s.look(name)
	defer s.leave(cs)
	if c == nil {
		return nil
	}
	s.crews(cs, c, func(m crew) bool {
		if session, there := m.get(player); there {
			members = append(members, Member{UID: uid, SID: m.sid.name, Session: session})
		}
		return true
	})
	return members
}

func has(mem *compact.Slab, set *compact.Set, player uint32) bool {
	_, there := set.Get(mem, player)
	return there
}

// ChannelsOf are the channels that a player is in, each once, in no particular order.
func (s *State) ChannelsOf(uid string) []string {
	if s.gate != nil {
		return channelsIn(s.joinedEarlier(uid))
	}
	shard := shardOfString(uid)
	p := s.players[shard]
	local := p.texts.FindString(uid)
	if local == 0 {
		return nil
	}
	ids, sids := s.shownWays(p, local)
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		if name, in := s.nameIfIn(id, local<<shardBits|uint32(shard), sids); in {
			names = append(names, name)
		}
	}
	return names
}

// shownWays are the ids of the channels that a player may be in, each once, and the
// numbers of the servers.
func (s *State) shownWays(p *players, local uint32) (ids, sids []uint32) {
	for g := range p.stays(local) {
		if s.sids.at(g.sid).shown() {
			ids, sids = append(ids, g.channels...), append(sids, g.sid)
		}
	}
	if len(sids) > 1 {
		seen := make(map[uint32]struct{}, len(ids))
		once := ids[:0]
		for _, id := range ids {
			if _, dup := seen[id]; !dup {
				seen[id] = struct{}{}
				once = append(once, id)
			}
		}
		ids = once
	}
	return ids, sids
}

func (s *State) nameIfIn(id, player uint32, sids []uint32) (name string, in bool) {
	cs, c := s.channel(id)
	for _, sid := range sids {
		if set := c.members(sid); set != nil && has(cs.mem, set, player) {
			return string(c.name()), true
		}
	}
	return "", false
}

// SIDsOf are the servers on which a player is in any channel, each once.
func (s *State) SIDsOf(uid string) []string {
	if s.gate != nil {
		return sidsIn(s.joinedEarlier(uid))
	}
	p := s.players[shardOfString(uid)]
	local := p.texts.FindString(uid)
	if local == 0 {
		return nil
	}
	var names []string
	for g := range p.stays(local) {
		if sid := s.sids.at(g.sid); sid.shown() && s.anyGoesOn(g, 0) {
			names = append(names, sid.name)
		}
	}
	return names
}

// anyGoesOn says whether any of the channels, but for one, has not ended.
func (s *State) anyGoesOn(g stay, but uint32) bool {
	for _, id := range g.channels {
		if id == but {
			continue
		}
		if _, c := s.channel(id); c.ended == 0 {
			return true
		}
	}
	return false
}

// Channels are the names with a prefix that come after another one, in the order of
// their bytes, limit of them at most.
func (s *State) Channels(prefix, after string, limit int) []string {
	var names []string
	s.order.from(max(prefix, after), func(c *channel) bool {
		name := c.name()
		if len(names) == limit || !strings.HasPrefix(string(name), prefix) {
			return false
		}
		if string(name) > after && s.seen(s.channels[c.id&(shards-1)], c) {
			names = append(names, string(name))
		}
		return true
	})
	return names
}
