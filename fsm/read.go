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
		return List{}
	}
	set := c.members(on.number)
	if set == nil {
		return List{}
	}
	return s.list(cs, set)
}

// idsAtHand is how many ids are copied without an allocation.
const idsAtHand = 128

// list are the uids of a set.
func (s *State) list(cs *channels, set *compact.Set) List {
	n := set.Len(cs.mem)
	if n > idsAtHand {
		return s.listOf(set.AppendKeys(cs.mem, make([]uint32, 0, n)), false)
	}
	var hand [idsAtHand]uint32
	return List{uids: s.textsOf(set.AppendKeys(cs.mem, hand[:0]))}
}

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
	if c == nil {
		return List{}
	}
	targets, n := s.targetsOf(cs, c, stype), 0
	for i := range targets {
		n += targets[i].Members
	}
	ids := make([]uint32, 0, n)
	for i := range targets {
		ids = c.members(s.sids.find(targets[i].Server.SID).number).AppendKeys(cs.mem, ids)
	}
	return s.listOf(ids, len(targets) > 1)
}

// Members are all memberships of a channel, those on external sids included.
func (s *State) Members(name string) MemberList {
	cs, c := s.look(name)
	if c == nil {
		return MemberList{}
	}
	var hand [idsAtHand]uint32
	var some [partsAtHand]part
	ids, m := hand[:0], memberships{parts: some[:0]}
	if c.size > idsAtHand {
		ids = make([]uint32, 0, c.size)
	}
	s.visible(c, func(sid *sid, set *compact.Set) bool {
		ids = m.add(sid.name, set, cs.mem, ids)
		return true
	})
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
// at a stamp, or be nil. The other ones' have to be asked for: see Target.Read.
func (s *State) Targets(name, stype string, kept func(sid string, at Stamp) ([]string, bool)) []Target {
	cs, c := s.look(name)
	if c == nil {
		return nil
	}
	targets := s.targetsOf(cs, c, stype)
	for i := range targets {
		t := &targets[i]
		if kept != nil {
			if uids, known := kept(t.Server.SID, t.Stamp); known {
				t.UIDs = uids
				continue
			}
		}
		t.list = s.list(cs, c.members(s.sids.find(t.Server.SID).number))
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
