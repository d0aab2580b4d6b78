package fsm

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
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

// hidden says whether the members of a sid are parked.
func (s *State) hidden(sid string) bool {
	h := s.held[sid]
	return h != nil && h.parked
}

// PlayersOn are the uids that are in any channel on a server that is up.
func (s *State) PlayersOn(sid string) []string {
	h := s.held[sid]
	if h == nil || h.parked {
		return nil
	}
	return appendKeys(nil, h.players)
}

// MembersBySID are the uids of a channel on one server.
func (s *State) MembersBySID(name, sid string) []string {
	c := s.channels[name]
	if c == nil || s.hidden(sid) {
		return nil
	}
	return appendKeys(nil, c.members[sid])
}

func appendKeys[V any](uids []string, members map[string]V) []string {
	uids = slices.Grow(uids, len(members))
	for uid := range members {
		uids = append(uids, uid)
	}
	return uids
}

// MembersByType are the uids of a channel on all servers of a type, each once.
func (s *State) MembersByType(name, stype string) []string {
	targets := s.Targets(name, stype)
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
	c := s.channels[name]
	if c == nil {
		return nil
	}
	var members []Member
	for sid, uids := range c.members {
		if s.hidden(sid) {
			continue
		}
		members = slices.Grow(members, len(uids))
		for uid, m := range uids {
			members = append(members, Member{UID: uid, SID: sid, Session: m.session, Meta: m.bytes()})
		}
	}
	return members
}

func (m member) bytes() []byte {
	if m.meta == "" {
		return nil
	}
	return []byte(m.meta)
}

// Targets are the servers of a type that are up and have members of the
// channel: those that a push to it goes to.
func (s *State) Targets(name, stype string) []Target {
	c := s.channels[name]
	if c == nil {
		return nil
	}
	var targets []Target
	for sid, uids := range c.members {
		if srv := s.servers[sid]; srv != nil && srv.Up && srv.SType == stype {
			targets = append(targets, Target{Server: srv.Server, UIDs: appendKeys(nil, uids)})
		}
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Server.SID, b.Server.SID) })
	return targets
}

// Changed is the index of a channel's last change; 0 if there is no such
// channel, since nothing is kept of one that ended. The end and the return of a
// life that has members in it are no change of the channel, but of that life.
func (s *State) Changed(name string) uint64 {
	if c := s.channels[name]; c != nil {
		return c.changed
	}
	return 0
}

// Stats counts what there is. It looks at every channel.
func (s *State) Stats() Stats {
	st := Stats{Memberships: s.memberships}
	for _, c := range s.channels {
		if s.exists(c) {
			st.Channels++
		}
	}
	for _, h := range s.held {
		if h.parked {
			st.Parked += h.count
		}
	}
	for _, srv := range s.servers {
		if srv.Up {
			st.Servers++
		}
	}
	return st
}

// exists says whether a channel has more than parked members.
func (s *State) exists(c *channel) bool {
	if c.options != nil {
		return true
	}
	for sid := range c.members {
		if !s.hidden(sid) {
			return true
		}
	}
	return false
}
