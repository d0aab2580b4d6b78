package fsm

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// The reads hand out copies: what they return is the caller's to keep. Members
// come in no particular order, servers sorted by sid.

// Index of the last entry that took effect; 0 before the first.
func (s *State) Index() uint64 { return s.index }

// ClusterID is empty before Found.
func (s *State) ClusterID() string { return s.clusterID }

// Settings of the cluster as founded; zero fields are not filled in. Never nil.
func (s *State) Settings() *fsmpb.Settings { return proto.CloneOf(s.settings) }

// Level is the version of the entries that are written: what every server that was
// configured when it was raised knows.
func (s *State) Level() uint32 { return s.level }

// Forgotten is the index up to which ended lives were dropped; 0 before the first.
func (s *State) Forgotten() uint64 { return s.forgotten }

// SettingsIndex is the index at which the settings changed last; 0: as founded.
func (s *State) SettingsIndex() uint64 { return s.settingsIndex }

// Halted is nil while the state is healthy, else why and where it stopped.
func (s *State) Halted() error { return s.halted }

// Server is the record of sid: its life if Up, else its last one.
func (s *State) Server(sid string) (Server, bool) {
	if srv := s.servers[sid]; srv != nil {
		return srv.Server, true
	}
	return Server{}, false
}

// Servers are those that are up.
func (s *State) Servers() []Server {
	return slices.DeleteFunc(s.Records(), func(srv Server) bool { return !srv.Up })
}

// Records are the servers that are up, and the ended lives that are not forgotten.
func (s *State) Records() []Server {
	records := make([]Server, 0, len(s.servers))
	for _, srv := range s.servers {
		records = append(records, srv.Server)
	}
	slices.SortFunc(records, func(a, b Server) int { return cmp.Compare(a.SID, b.SID) })
	return records
}

// shown is a sid whose members reads see, or nil.
func (s *State) shown(name string) *sid {
	if sid := s.sids.find(name); sid != nil && sid.shown() {
		return sid
	}
	return nil
}

// look finds a channel; nil: there is none.
func (s *State) look(name string) (*channels, *channel) {
	cs := s.channels[shardOfString(name)]
	return cs, cs.findString(name)
}

// PlayersOn are the uids that are in any channel on a server that is up.
func (s *State) PlayersOn(name string) []string {
	sid := s.shown(name)
	if sid == nil {
		return nil
	}
	seen := make(map[uint32]struct{})
	for id := range sid.channels.All(&s.sids.mem) {
		cs, c := s.channel(id)
		for player := range c.members(sid.number).All(cs.mem) {
			seen[player] = struct{}{}
		}
	}
	uids := make([]string, 0, len(seen))
	for player := range seen {
		uids = append(uids, string(s.uid(player)))
	}
	return uids
}

// MembersBySID are the uids of a channel on one server.
func (s *State) MembersBySID(name, sid string) []string {
	on := s.shown(sid)
	if on == nil {
		return nil
	}
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	set := c.members(on.number)
	if set == nil {
		return nil
	}
	return s.uids(cs, set)
}

// idsAtHand is how many ids are copied without an allocation.
const idsAtHand = 128

// uids are those of a set.
func (s *State) uids(cs *channels, set *compact.Set) []string {
	var hand [idsAtHand]uint32
	ids := hand[:0]
	if n := set.Len(cs.mem); n > idsAtHand {
		ids = make([]uint32, 0, n)
	}
	return s.textsOf(set.AppendKeys(cs.mem, ids))
}

func (s *State) textsOf(players []uint32) []string { return s.copyTexts(players).strings() }

func (s *State) copyTexts(players []uint32) *textCopy {
	t := newTextCopy(len(players))
	for some := range slices.Chunk(players, fetchedTexts) {
		s.fetchTexts(some)
		for _, player := range some {
			t.add(s.uid(player))
		}
	}
	return t
}

const fetchedTexts = 32

// fetchTexts reads where uids begin, for all of some players at once; see warm.go. What
// it returns is of no use.
//
//go:noinline
func (s *State) fetchTexts(players []uint32) (sum uint32) {
	var places [fetchedTexts]*uint32
	for i, id := range players {
		places[i] = s.players[id&(shards-1)].texts.Record(id >> shardBits)
	}
	for _, p := range places[:len(players)] {
		sum += *p
	}
	for i, id := range players {
		places[i] = s.players[id&(shards-1)].texts.Word(id >> shardBits)
	}
	for _, p := range places[:len(players)] {
		sum += *p
	}
	return sum
}

// MembersByType are the uids of a channel on all servers of a type, each once.
func (s *State) MembersByType(name, stype string) []string {
	targets := s.Targets(name, stype, nil)
	switch len(targets) {
	case 0:
		return nil
	case 1:
		return targets[0].UIDs
	}
	seen := make(map[string]struct{})
	var uids []string
	for _, t := range targets {
		for _, uid := range t.UIDs {
			if _, dup := seen[uid]; !dup {
				seen[uid] = struct{}{}
				uids = append(uids, uid)
			}
		}
	}
	return uids
}

// Members are all memberships of a channel, those on external sids included.
func (s *State) Members(name string) []Member {
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	var hand [idsAtHand]uint32
	ids, members := hand[:0], make([]Member, 0, c.size)
	if c.size > idsAtHand {
		ids = make([]uint32, 0, c.size)
	}
	s.visible(c, func(sid *sid, set *compact.Set) bool {
		if !set.Valued(cs.mem) {
			ids = set.AppendKeys(cs.mem, ids)
			for len(members) < len(ids) {
				members = append(members, Member{SID: sid.name})
			}
			return true
		}
		for player, session := range set.All(cs.mem) {
			ids, members = append(ids, player), append(members, Member{SID: sid.name, Session: session})
		}
		return true
	})
	if len(ids) == 0 {
		return nil
	}
	s.copyTexts(ids).each(func(i int, uid string) { members[i].UID = uid })
	return members
}

// Targets are the servers of a type that are up and have members of the
// channel: those that a push to it goes to. kept may know the uids of some, as they were
// at a stamp, or be nil.
func (s *State) Targets(name, stype string, kept func(sid string, at Stamp) ([]string, bool)) []Target {
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	targets := s.targetsOf(cs, c, stype)
	for i := range targets {
		t := &targets[i]
		set := c.members(s.sids.find(t.Server.SID).number)
		if kept != nil {
			if uids, known := kept(t.Server.SID, t.Stamp); known {
				t.UIDs = uids
				continue
			}
		}
		t.UIDs = s.uids(cs, set)
	}
	return targets
}

// TargetCounts are the Targets without their uids.
func (s *State) TargetCounts(name, stype string) []Target {
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	return s.targetsOf(cs, c, stype)
}

func (s *State) targetsOf(cs *channels, c *channel, stype string) (targets []Target) {
	for i := range c.cells {
		cell := &c.cells[i]
		sid := s.sids.at(cell.sid)
		if srv := s.servers[sid.name]; sid.shown() && srv != nil && srv.Up && srv.SType == stype {
			targets = append(targets, Target{Server: srv.Server, Members: cell.members.Len(cs.mem), Stamp: s.stampAt(uint64(cell.changed))})
		}
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Server.SID, b.Server.SID) })
	return targets
}

// Changed is the index of a channel's last change; 0 if there is no such
// channel, since nothing is kept of one that ended. The end and the return of a
// life that has members in it are no change of the channel, but of that life.
func (s *State) Changed(name string) uint64 {
	_, c := s.look(name)
	if c == nil || !s.exists(c) {
		return 0
	}
	return s.lastChange(c)
}

// Stats counts what there is. While members are parked it looks at every channel.
func (s *State) Stats() Stats {
	st := Stats{Memberships: s.count.visible, Parked: s.count.parked}
	for _, cs := range s.tables.channels {
		st.Channels += s.countShown(cs)
	}
	for _, srv := range s.servers {
		if srv.Up {
			st.Servers++
		}
	}
	return st
}

func (s *State) countShown(cs *channels) (n int) {
	if s.sids.shadows == 0 {
		return cs.names.Len()
	}
	for _, c := range cs.byID {
		if c != nil && c.ended == 0 && s.seen(c) {
			n++
		}
	}
	return n
}

// seen says whether a channel has members that reads see.
func (s *State) seen(c *channel) (any bool) {
	s.visible(c, func(*sid, *compact.Set) bool {
		any = true
		return false
	})
	return any
}
