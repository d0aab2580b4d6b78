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
	level      uint32 // version of the entries that are written; see Level
	forgotten  uint64 // dead servers were dropped up to this index
	settings   *fsmpb.Settings

	settingsIndex uint64 // of the last SetSettings; 0: as founded
	settingsID    string // its id

	servers  map[string]*server  // by sid, ended lives too
	channels map[string]*channel // by name; exactly those with members, parked ones too, or options

	// held is the way back from a player to its channels. By sid first, so that
	// the end of a life costs its own members only. No empty ones.
	held        map[string]*holder
	memberships int // without what is parked
	parked      int // memberships

	records uint64 // counts changes of server records; for Replica, not replicated
	halted  error
}

// server is a record with what exactly-once needs of it as an origin.
type server struct {
	Server
	firstEpoch uint64     // of this incarnation's unbroken row of lives that ends with Epoch
	lastNumber uint64     // of the batches of this life; 0: none yet
	kept       []answered // the last ones up to lastNumber, oldest first; empty if there was none
	parked     int        // of an ended life: how many memberships it had
	purged     bool       // of an ended life: they went at its end

	predecessor *fsmpb.Predecessor // for a registration that comes again; never written to
}

type channel struct {
	name    string
	changed uint64 // index of its last change
	options *fsmpb.ChannelOptions
	members map[string]map[string]member // by sid, then uid; no empty inner maps
}

func newChannel(name string) *channel {
	return &channel{name: name, members: make(map[string]map[string]member)}
}

type member struct {
	session uint64
	meta    string // opaque bytes
}

// NewState is the state before the first entry.
func NewState() *State {
	return &State{
		level:    firstLevel,
		settings: new(fsmpb.Settings),
		servers:  make(map[string]*server),
		channels: make(map[string]*channel),
		held:     make(map[string]*holder),
	}
}

// epoch of a life that is registered at index.
func (s *State) epoch(index uint64) uint64 { return uint64(s.generation)<<48 | index }

// place names one membership. Its bytes are borrowed: what is kept of them is
// copied.
type place struct{ name, sid, uid []byte }

func (s *State) member(p place) (member, bool) {
	_, m, ok := s.find(p)
	return m, ok
}

// find gives a membership, and its channel also if it is not there.
func (s *State) find(p place) (*channel, member, bool) {
	c := s.channels[string(p.name)]
	if c == nil {
		return nil, member{}, false
	}
	m, ok := c.members[string(p.sid)][string(p.uid)]
	return c, m, ok
}

// put writes a membership, new or not, and its way back. The channel is what
// find gave; nil: it begins.
func (s *State) put(c *channel, p place, m member, index uint64) {
	if c == nil {
		c = newChannel(string(p.name))
		s.channels[c.name] = c
	}
	c.changed = index
	h := s.held[string(p.sid)]
	if h == nil {
		h = &holder{sid: string(p.sid), players: make(map[string]ways)}
		s.held[h.sid] = h
	}
	uids := c.members[h.sid]
	if uids == nil {
		uids = make(map[string]member)
		c.members[h.sid] = uids
	}
	w, known := h.players[string(p.uid)]
	if !known {
		w.uid = string(p.uid)
	}
	before := len(uids)
	uids[w.uid] = m
	if len(uids) > before {
		s.memberships++
		h.count++
		w.add(c)
	}
	if len(uids) > before || s.level >= parkingLevel {
		w.added = s.stamp(index)
		h.players[w.uid] = w
	}
}

// stamp is what a player's newest Add is remembered by. Older binaries keep none,
// and all replicas have to keep the same.
func (s *State) stamp(index uint64) uint64 {
	if s.level < parkingLevel {
		return 0
	}
	return index
}

// touch notes an Add that changes nothing.
func (s *State) touch(p place, index uint64) {
	if h, w := s.ways(p); h != nil && !w.empty() {
		w.added = s.stamp(index)
		h.players[w.uid] = w
	}
}

// prune is leaveAll for a player who was found to be offline by somebody who had
// applied the log up to seen. Who was added since is not the one who was looked for.
func (s *State) prune(p place, seen, index uint64) bool {
	if _, w := s.ways(p); w.added > seen {
		return false
	}
	return s.leaveAll(p, 0, index)
}

// remove takes away a membership that is there, in the channel that find gave.
func (s *State) remove(c *channel, p place, index uint64) {
	h, w := s.ways(p)
	w.remove(c)
	s.settle(h, w)
	s.without(c, h, w.uid, index)
}

// leaveAll removes what a player holds on a sid, of sessions up to the given
// one if that is not 0. It costs that player's memberships there and no more.
func (s *State) leaveAll(p place, session, index uint64) (changed bool) {
	h, w := s.ways(p)
	left := ways{uid: w.uid, added: w.added}
	for c := range w.all() {
		if session != 0 && c.members[h.sid][w.uid].session > session {
			left.add(c)
			continue
		}
		s.without(c, h, w.uid, index)
		changed = true
	}
	if changed {
		s.settle(h, left)
	}
	return changed
}

// holds says whether a player has any membership on a sid.
func (s *State) holds(p place) bool {
	_, w := s.ways(p)
	return !w.empty()
}

func (s *State) ways(p place) (*holder, ways) {
	h := s.held[string(p.sid)]
	if h == nil {
		return nil, ways{}
	}
	return h, h.players[string(p.uid)]
}

// settle keeps what is left of a player's ways, or nothing.
func (s *State) settle(h *holder, w ways) {
	if !w.empty() {
		h.players[w.uid] = w
		return
	}
	delete(h.players, w.uid)
	if len(h.players) == 0 {
		delete(s.held, h.sid)
	}
}

// without takes a member out of a channel, whose way back is the caller's.
func (s *State) without(c *channel, h *holder, uid string, index uint64) {
	uids := c.members[h.sid]
	delete(uids, uid)
	if len(uids) == 0 {
		delete(c.members, h.sid)
	}
	s.fewer(h, 1)
	s.touched(c, index)
}

// fewer counts memberships of a sid off. Parked ones are in no count but its own.
func (s *State) fewer(h *holder, n int) {
	h.count -= n
	if h.parked {
		s.parked -= n
	} else {
		s.memberships -= n
	}
}

// touched ends a channel that lost its last member, and marks any other.
func (s *State) touched(c *channel, index uint64) {
	c.changed = index
	if len(c.members) == 0 && c.options == nil {
		delete(s.channels, c.name)
	}
}

// purge removes every member on sid, and says whether there was one. It costs
// those members and no more.
func (s *State) purge(sid string, index uint64) bool {
	h := s.held[sid]
	if h == nil {
		return false
	}
	for _, w := range h.players {
		for c := range w.all() {
			if uids, ok := c.members[sid]; ok { // else an earlier player of this loop was there too
				s.fewer(h, len(uids))
				delete(c.members, sid)
				s.touched(c, index)
			}
		}
	}
	delete(s.held, sid)
	return true
}

// destroy ends a channel, its options included, and says whether there was one.
func (s *State) destroy(name []byte) bool {
	c := s.channels[string(name)]
	if c == nil {
		return false
	}
	for sid, uids := range c.members {
		h := s.held[sid]
		for uid := range uids {
			w := h.players[uid]
			w.remove(c)
			s.settle(h, w)
		}
		s.fewer(h, len(uids))
	}
	delete(s.channels, c.name)
	return true
}

func (s *State) destroyAll() bool {
	if len(s.channels) == 0 {
		return false
	}
	// New maps: emptying the old ones would take as long as they are large.
	s.channels = make(map[string]*channel)
	s.held = make(map[string]*holder)
	s.memberships, s.parked = 0, 0
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
