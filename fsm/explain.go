package fsm

import (
	"cmp"
	"slices"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// Explanation is what there is to say about a player and a channel, parked members
// included, which no other read shows.
type Explanation struct {
	Exists  bool   // the channel has members, if only parked ones
	Changed uint64 // index of its last change; 0: there is none
	Members int    // (uid, sid) pairs that reads see
	Parked  int    // and those that they do not

	In        []Stand // where the player is in the channel, sorted by SID
	Elsewhere []Stand // where he is in other channels only; their Session is 0
}

// Stand is a player on one server.
type Stand struct {
	SID     string
	Server  Server // its newest life
	Known   bool   // there is one
	Parked  bool   // the life has ended, and the player may come back with its process
	Session uint64
	Added   uint64 // index of the newest Add of that player on that server, to whatever channel; 0: of before level 3
}

// Explain says whether and where a player is in a channel, and where he is besides.
func (s *State) Explain(name, uid string) (e Explanation) {
	shard := shardOfString(uid)
	p := s.players[shard]
	p.mu.RLock()
	defer p.mu.RUnlock()
	local := p.texts.FindString(uid)
	in := s.explainChannel(&e, name, local<<shardBits|uint32(shard))
	if local == 0 {
		return e
	}
	for g := range p.stays(local) {
		sid := s.sids.at(g.sid)
		session, there := in[g.sid]
		if !there && (sid.dead != 0 || !s.anyGoesOn(g)) {
			continue
		}
		stand := Stand{SID: sid.name, Parked: sid.parked, Session: session, Added: g.added}
		if stand.Server, stand.Known = s.Server(sid.name); there {
			e.In = append(e.In, stand)
		} else {
			e.Elsewhere = append(e.Elsewhere, stand)
		}
	}
	bySID := func(a, b Stand) int { return cmp.Compare(a.SID, b.SID) }
	slices.SortFunc(e.In, bySID)
	slices.SortFunc(e.Elsewhere, bySID)
	return e
}

// explainChannel fills in what is the channel's, and returns the session of a player
// for each sid where he is in it.
func (s *State) explainChannel(e *Explanation, name string, player uint32) (in map[uint32]uint64) {
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	defer cs.mu.RUnlock()
	if e.Exists = s.exists(c); e.Exists {
		e.Changed = s.lastChange(c)
	}
	in = make(map[uint32]uint64)
	for i := range c.cells {
		sid, set := s.sids.at(c.cells[i].sid), &c.cells[i].members
		switch {
		case sid.dead != 0:
			continue
		case sid.parked:
			e.Parked += set.Len(cs.mem)
		default:
			e.Members += set.Len(cs.mem)
		}
		if session, there := set.Get(cs.mem, player); there {
			in[sid.number] = session
		}
	}
	return in
}

// MembersOf are the memberships of one player in a channel.
func (s *State) MembersOf(name, uid string) (members []Member) {
	shard := shardOfString(uid)
	p := s.players[shard]
	p.mu.RLock()
	defer p.mu.RUnlock()
	local := p.texts.FindString(uid)
	if local == 0 {
		return nil
	}
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	defer cs.mu.RUnlock()
	s.visible(c, func(sid *sid, set *compact.Set) bool {
		if session, there := set.Get(cs.mem, local<<shardBits|uint32(shard)); there {
			members = append(members, Member{UID: uid, SID: sid.name, Session: session})
		}
		return true
	})
	return members
}
