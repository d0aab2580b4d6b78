package fsm

import (
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// State is the replicated state: settings, lives of servers, channels. It is a
// plain value machine. Whoever applies the same entries at the same indexes
// gets the same State and the same Results, whatever the machine or the time.
// It is not safe for concurrent use; Replica adds the lock.
type State struct {
	index      uint64 // of the last entry that took effect
	clusterID  string // "" before Found
	generation uint32
	forgotten  uint64 // dead servers were dropped up to this index
	settings   *fsmpb.Settings

	servers  map[string]*server  // by sid, ended lives too
	channels map[string]*channel // by name; exactly those with members or options

	// held is the way back from a player to its channels: sid, uid, names.
	// By sid first, so that the end of a life costs its own members only.
	held        map[string]map[string]map[string]struct{}
	memberships int

	records uint64 // counts changes of server records; for Replica, not replicated
	halted  error
}

// server is a record with what exactly-once needs of it as an origin.
type server struct {
	Server
	firstEpoch uint64     // of this incarnation's unbroken row of lives that ends with Epoch
	lastNumber uint64     // of the batches of this life; 0: none yet
	kept       []answered // the last ones up to lastNumber, oldest first; empty if there was none
}

type channel struct {
	changed uint64 // index of its last change
	options *fsmpb.ChannelOptions
	members map[string]map[string]member // by sid, then uid; no empty inner maps
}

type member struct {
	session uint64
	meta    string // opaque bytes
}

// key names one membership.
type key struct{ name, sid, uid string }

// NewState is the state before the first entry.
func NewState() *State {
	return &State{
		settings: new(fsmpb.Settings),
		servers:  make(map[string]*server),
		channels: make(map[string]*channel),
		held:     make(map[string]map[string]map[string]struct{}),
	}
}

// epoch of a life that is registered at index.
func (s *State) epoch(index uint64) uint64 { return uint64(s.generation)<<48 | index }

func (s *State) member(k key) (member, bool) {
	c := s.channels[k.name]
	if c == nil {
		return member{}, false
	}
	m, ok := c.members[k.sid][k.uid]
	return m, ok
}

// put writes a membership, new or not, and its way back.
func (s *State) put(k key, m member, index uint64) {
	c := s.channels[k.name]
	if c == nil {
		c = &channel{members: make(map[string]map[string]member)}
		s.channels[k.name] = c
	}
	c.changed = index
	uids := c.members[k.sid]
	if uids == nil {
		uids = make(map[string]member)
		c.members[k.sid] = uids
	}
	if _, was := uids[k.uid]; !was {
		s.memberships++
		s.hold(k)
	}
	uids[k.uid] = m
}

func (s *State) hold(k key) {
	uids := s.held[k.sid]
	if uids == nil {
		uids = make(map[string]map[string]struct{})
		s.held[k.sid] = uids
	}
	names := uids[k.uid]
	if names == nil {
		names = make(map[string]struct{})
		uids[k.uid] = names
	}
	names[k.name] = struct{}{}
}

func (s *State) release(k key) {
	uids := s.held[k.sid]
	names := uids[k.uid]
	delete(names, k.name)
	if len(names) == 0 {
		delete(uids, k.uid)
	}
	if len(uids) == 0 {
		delete(s.held, k.sid)
	}
}

// remove takes away a membership that is there.
func (s *State) remove(k key, index uint64) {
	c := s.channels[k.name]
	uids := c.members[k.sid]
	delete(uids, k.uid)
	if len(uids) == 0 {
		delete(c.members, k.sid)
	}
	s.memberships--
	s.release(k)
	s.touched(k.name, c, index)
}

// touched ends a channel that lost its last member, and marks any other.
func (s *State) touched(name string, c *channel, index uint64) {
	c.changed = index
	if len(c.members) == 0 && c.options == nil {
		delete(s.channels, name)
	}
}

// purge removes every member on sid. It costs those members and no more.
func (s *State) purge(sid string, index uint64) {
	for _, names := range s.held[sid] {
		for name := range names {
			c := s.channels[name]
			if c == nil {
				continue // ended by an earlier uid of this loop
			}
			if uids, ok := c.members[sid]; ok {
				s.memberships -= len(uids)
				delete(c.members, sid)
				s.touched(name, c, index)
			}
		}
	}
	delete(s.held, sid)
}

// destroy ends a channel, its options included, and says whether there was one.
func (s *State) destroy(name string) bool {
	c := s.channels[name]
	if c == nil {
		return false
	}
	for sid, uids := range c.members {
		for uid := range uids {
			s.release(key{name: name, sid: sid, uid: uid})
		}
		s.memberships -= len(uids)
	}
	delete(s.channels, name)
	return true
}

func (s *State) destroyAll() bool {
	if len(s.channels) == 0 {
		return false
	}
	// New maps: emptying the old ones would take as long as they are large.
	s.channels = make(map[string]*channel)
	s.held = make(map[string]map[string]map[string]struct{})
	s.memberships = 0
	return true
}

// othersUp says whether a server is up besides origin and those attached to it.
func (s *State) othersUp(origin *server) bool {
	for _, o := range s.servers {
		attached := o.Via == origin.SID && o.ViaEpoch == origin.Epoch
		if o.Up && o.SID != origin.SID && !attached {
			return true
		}
	}
	return false
}
