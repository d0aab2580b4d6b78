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
	var up []Server
	for _, srv := range s.servers {
		if srv.Up {
			up = append(up, srv.Server)
		}
	}
	slices.SortFunc(up, func(a, b Server) int { return cmp.Compare(a.SID, b.SID) })
	return up
}

// MembersBySID are the uids of a channel on one server.
func (s *State) MembersBySID(name, sid string) []string {
	c := s.channels[name]
	if c == nil {
		return nil
	}
	return appendKeys(nil, c.members[sid])
}

func appendKeys(uids []string, members map[string]member) []string {
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
// channel, since nothing is kept of one that ended.
func (s *State) Changed(name string) uint64 {
	if c := s.channels[name]; c != nil {
		return c.changed
	}
	return 0
}

// Stats counts what there is.
func (s *State) Stats() Stats {
	st := Stats{Channels: len(s.channels), Memberships: s.memberships}
	for _, srv := range s.servers {
		if srv.Up {
			st.Servers++
		}
	}
	return st
}
