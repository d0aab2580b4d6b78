package fsm

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// The reads hand out copies: what they return is the caller's to keep. Members
// come in no particular order, servers sorted by sid.

// Reads are the questions that may be asked while an entry is applied, and are answered
// from the state before it. See the methods of State.
type Reads interface {
	Index() uint64
	Halted() error
	ClusterID() string
	Generation() uint32
	Level() uint32
	Settings() *fsmpb.Settings
	SettingsIndex() uint64
	Server(sid string) (Server, bool)
	Servers() []Server
	Records() []Server

	Members(name string) MemberList
	MembersBySID(name, sid string) List
	MembersByType(name, stype string) List
	MembersOf(name, uid string) []Member
	Contains(name, uid string) bool
	Count(name string) int
	CountBySID(name, sid string) int
	Changed(name string) uint64

	ChannelsOf(uid string) []string
	SIDsOf(uid string) []string
	Where(uid string) []Stay

	Targets(name, stype string, kept func(sid string, at Stamp) ([]string, bool)) []Target
	TargetCounts(name, stype string) []Target
	Stamp(name string) Stamp
	StampBySID(name, sid string) Stamp
}

var _ Reads = (*State)(nil)

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

// look finds a channel; nil: there is none. It holds on to the shard until leave.
func (s *State) look(name string) (*channels, *channel) {
	cs := s.channels[shardOfString(name)]
	if s.gate == nil {
		return cs, cs.findString(name)
	}
	cs.mu.Lock()
	return cs, cs.findEarlier(name)
}

func (s *State) leave(cs *channels) {
	if s.gate != nil {
		cs.mu.Unlock()
	}
}

// PlayersOn are the uids that are in any channel on a server that is up.
func (s *State) PlayersOn(name string) List {
	sid := s.shown(name)
	if sid == nil {
		return List{}
	}
	ids := make([]uint32, 0, sid.count)
	for id := range sid.channels.All(&s.sids.mem) {
		cs, c := s.channel(id)
		ids = c.members(sid.number).AppendKeys(cs.mem, ids)
	}
	return s.listOf(ids, true)
}

// MembersBySID are the uids of a channel on one server.
func (s *State) MembersBySID(name, sid string) List {
	on := s.shown(sid)
	if on == nil {
		return List{}
	}
	cs, c := s.look(name)
	if c == nil {
		s.leave(cs)
		return List{}
	}
	m := s.crew(cs, c, on)
	if n := m.len(); n > idsAtHand {
		ids := m.appendIDs(make([]uint32, 0, n))
		s.leave(cs)
		return s.listOf(ids, false)
	}
	var hand [idsAtHand]uint32
	ids := m.appendIDs(hand[:0])
	s.leave(cs)
	if len(ids) == 0 {
		return List{}
	}
	return List{uids: s.textsOf(ids)}
}

// idsAtHand is how many ids are copied without an allocation.
const idsAtHand = 128

func (t *tables) textsOf(players []uint32) []string { return t.copyTexts(players).strings() }

func (t *tables) copyTexts(players []uint32) *textCopy {
	c := newTextCopy(len(players))
	for some := range slices.Chunk(players, fetchedTexts) {
		t.fetchTexts(some)
		for _, player := range some {
			c.add(t.uid(player))
		}
	}
	return c
}

const fetchedTexts = 32

// fetchTexts reads where uids begin, for all of some players at once; see warm.go. What
// it returns is of no use.
//
//go:noinline
func (t *tables) fetchTexts(players []uint32) (sum uint32) {
	var places [fetchedTexts]*uint32
	for i, id := range players {
		places[i] = t.players[id&(shards-1)].texts.Record(id >> shardBits)
	}
	for _, p := range places[:len(players)] {
		sum += *p
	}
	for i, id := range players {
		places[i] = t.players[id&(shards-1)].texts.Word(id >> shardBits)
	}
	for _, p := range places[:len(players)] {
		sum += *p
	}
	return sum
}

// MembersByType are the uids of a channel on all servers of a type, each once.
func (s *State) MembersByType(name, stype string) List {
	cs, c := s.look(name)
	targets := s.targetsOf(cs, c, stype)
	ids := s.idsOf(cs, c, targets)
	s.leave(cs)
	return s.listOf(ids, len(targets) > 1)
}

// idsOf are the players of those targets whose uids are not known, one target after
// another.
func (s *State) idsOf(cs *channels, c *channel, targets []Target) []uint32 {
	n := 0
	for i := range targets {
		if targets[i].UIDs == nil {
			n += targets[i].Members
		}
	}
	ids := make([]uint32, 0, n)
	for i := range targets {
		if targets[i].UIDs == nil {
			m := s.crew(cs, c, s.sids.find(targets[i].Server.SID))
			ids = m.appendIDs(ids)
		}
	}
	return ids
}

// Members are all memberships of a channel, those on external sids included.
func (s *State) Members(name string) MemberList {
	cs, c := s.look(name)
	if c == nil {
		s.leave(cs)
		return MemberList{}
	}
	var hand [idsAtHand]uint32
	var some [partsAtHand]part
	ids, m := hand[:0], memberships{parts: some[:0]}
	if c.size > idsAtHand {
		ids = make([]uint32, 0, c.size)
	}
	s.crews(cs, c, func(some crew) bool {
		ids = m.add(&some, ids)
		return true
	})
	s.leave(cs)
	switch {
	case len(ids) == 0:
		return MemberList{}
	case len(ids) <= idsAtHand:
		return MemberList{members: m.named(s.copyTexts(ids))}
	}
	m.parts = slices.Clone(m.parts)
	return MemberList{long: &longMembers{long: s.longOf(ids), memberships: m}}
}

// Targets are the servers of a type that are up and have members of the
// channel: those that a push to it goes to. kept may know the uids of some, as they were
// at a stamp, or be nil; it must not wait for anything. The other ones' have to be asked for: see Target.Read.
func (s *State) Targets(name, stype string, kept func(sid string, at Stamp) ([]string, bool)) []Target {
	cs, c := s.look(name)
	targets := s.targetsOf(cs, c, stype)
	for i := range targets {
		if t := &targets[i]; kept != nil {
			if uids, known := kept(t.Server.SID, t.Stamp); known {
				t.UIDs = uids
			}
		}
	}
	ids := s.idsOf(cs, c, targets)
	s.leave(cs)
	for i := range targets {
		if t := &targets[i]; t.UIDs == nil {
			t.list = s.listOf(ids[:t.Members:t.Members], false)
			ids = ids[t.Members:]
		}
	}
	return targets
}

// TargetCounts are the Targets without their uids.
func (s *State) TargetCounts(name, stype string) []Target {
	cs, c := s.look(name)
	defer s.leave(cs)
	return s.targetsOf(cs, c, stype)
}

func (s *State) targetsOf(cs *channels, c *channel, stype string) (targets []Target) {
	if c == nil {
		return nil
	}
	s.crews(cs, c, func(m crew) bool {
		if srv := s.servers[m.sid.name]; srv != nil && srv.Up && srv.SType == stype {
			targets = append(targets, Target{Server: srv.Server, Members: m.len(), Stamp: s.stampAt(uint64(m.last))})
		}
		return true
	})
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Server.SID, b.Server.SID) })
	return targets
}

// Changed is the index of a channel's last change; 0 if there is no such
// channel, since nothing is kept of one that ended. The end and the return of a
// life that has members in it are no change of the channel, but of that life.
func (s *State) Changed(name string) uint64 {
	cs, c := s.look(name)
	defer s.leave(cs)
	if c == nil || !s.existed(c) {
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
		if c != nil && c.ended == 0 && s.seen(cs, c) {
			n++
		}
	}
	return n
}

// seen says whether a channel has members that reads see.
func (s *State) seen(cs *channels, c *channel) (any bool) {
	s.crews(cs, c, func(crew) bool {
		any = true
		return false
	})
	return any
}
