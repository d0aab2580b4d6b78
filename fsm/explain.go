package fsm

import (
	"cmp"
	"slices"
)

// Explanation says why a player is in a channel, or is not.
type Explanation struct {
	Exists    bool    // the channel is there, be it with parked members only
	Changed   uint64  // index of its last change
	Members   int     // that reads see
	Parked    int     // that they do not
	Places    []Place // of the player in the channel, parked ones too, by SID
	Elsewhere []Stay  // where else the player is, as reads see it, by SID
	Hidden    []Place // servers on which he is parked in other channels, by SID; without a Session
}

// Place is a membership, with what decides who sees it.
type Place struct {
	SID     string
	Server  Server // the sid's record
	Known   bool   // there is one
	Parked  bool   // that life is over, and no read shows the membership
	Session uint64
	Added   uint64 // index of the newest Add for the player on that sid, in whatever channel
}

// Stay is what a player is in on one server.
type Stay struct {
	SID      string
	Channels []string // sorted
}

// Explain finds out about a player and a channel.
func (s *State) Explain(name, uid string) Explanation {
	e := Explanation{Members: s.Count(name), Elsewhere: s.Where(uid)}
	for i := range e.Elsewhere {
		e.Elsewhere[i].Channels = slices.DeleteFunc(e.Elsewhere[i].Channels, func(c string) bool { return c == name })
	}
	e.Elsewhere = slices.DeleteFunc(e.Elsewhere, func(stay Stay) bool { return len(stay.Channels) == 0 })

	p := s.players[shardOfString(uid)]
	local := p.texts.FindString(uid)
	id := s.explainChannel(&e, name, p, local)
	if local == 0 {
		return e
	}
	for g := range p.stays(local) {
		if sid := s.sids.at(g.sid); sid.parked && s.anyGoesOn(g, id) {
			e.Hidden = append(e.Hidden, s.placeOn(sid, g.added))
		}
	}
	sortPlaces(e.Hidden)
	return e
}

// explainChannel fills in what the channel knows, and returns its id; 0: there is none.
func (s *State) explainChannel(e *Explanation, name string, p *players, local uint32) (id uint32) {
	cs, c := s.look(name)
	defer s.leave(cs)
	if c == nil {
		return 0
	}
	if e.Exists = s.exists(c); !e.Exists {
		return c.id
	}
	e.Changed = s.lastChange(c)
	for i := range c.cells {
		sid, set := s.sids.at(c.cells[i].sid), &c.cells[i].members
		if sid.parked {
			e.Parked += set.Len(cs.mem)
		}
		session, there := set.Get(cs.mem, local<<shardBits|uint32(p.shard))
		if local == 0 || !there || sid.dead != 0 {
			continue
		}
		stay, _ := p.stay(local, sid.number)
		at := s.placeOn(sid, stay.added)
		at.Session = session
		e.Places = append(e.Places, at)
	}
	sortPlaces(e.Places)
	return c.id
}

func (s *State) placeOn(sid *sid, added uint64) Place {
	at := Place{SID: sid.name, Parked: sid.parked, Added: added}
	at.Server, at.Known = s.Server(sid.name)
	return at
}

func sortPlaces(places []Place) {
	slices.SortFunc(places, func(a, b Place) int { return cmp.Compare(a.SID, b.SID) })
}

// Where is all that a player is in, by SID.
func (s *State) Where(uid string) []Stay {
	if s.gate != nil {
		return whereIn(s.joinedEarlier(uid))
	}
	shard := shardOfString(uid)
	p := s.players[shard]
	local := p.texts.FindString(uid)
	if local == 0 {
		return nil
	}
	player := local<<shardBits | uint32(shard)
	var where []Stay
	for g := range p.stays(local) {
		sid := s.sids.at(g.sid)
		if !sid.shown() {
			continue
		}
		at := Stay{SID: sid.name}
		for _, id := range g.channels {
			if name, in := s.nameIfIn(id, player, []uint32{g.sid}); in {
				at.Channels = append(at.Channels, name)
			}
		}
		if len(at.Channels) > 0 {
			slices.Sort(at.Channels)
			where = append(where, at)
		}
	}
	slices.SortFunc(where, func(a, b Stay) int { return cmp.Compare(a.SID, b.SID) })
	return where
}
