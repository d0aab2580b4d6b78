package fsm

import "github.com/pofresh/globalchannel/fsm/fsmpb"

// The settings may limit how many memberships, channels and servers there are.
// What is there already stays where a limit is lowered below it, and whoever is a
// member may be added again: only what is new is refused.

// limited says that settings have what came with scaleLevel.
func limited(s *fsmpb.Settings) bool {
	return s.GetMaxMembers() != 0 || s.GetMaxChannels() != 0 || s.GetMaxServers() != 0
}

// within says whether so many more fit; 0 is no limit.
func within(limit uint64, have, more int) bool {
	return limit == 0 || more == 0 || uint64(have)+uint64(more) <= limit
}

// roomFor says that so many operations reach no limit, whatever they are.
func (s *State) roomFor(ops int) bool {
	memberships, channels := s.totals()
	return within(s.settings.GetMaxMembers(), memberships, ops) && within(s.settings.GetMaxChannels(), channels, ops)
}

// room implements book.
func (l *ledger) room(*place) bool {
	begins := 0
	if c := l.spot.channel; c == nil || !l.exists(c) {
		begins = 1
	}
	memberships, channels := l.totals()
	return within(l.settings.GetMaxMembers(), memberships, 1) && within(l.settings.GetMaxChannels(), channels, begins)
}

// roomForLife says whether a life may begin. It always may where it takes the
// place of one that is up, and where its process was up before: that one is taken
// back with its players.
func (s *State) roomForLife(cur *server, up *fsmpb.ServerUp) bool {
	limit := s.settings.GetMaxServers()
	if limit == 0 || cur != nil && (cur.Up || cur.Incarnation == up.GetIncarnation()) {
		return true
	}
	n := 0
	for _, srv := range s.servers {
		if srv.Up {
			n++
		}
	}
	return within(limit, n, 1)
}

// tally counts for a draft what there would be after the operations before.
type tally struct {
	state                 *State
	memberships, channels int
	sizes                 map[string]int // members of the channels that they touched
	emptied               bool           // all others are gone
}

// newTally is nil where nothing can be refused for its number.
func newTally(s *State) *tally {
	if s.settings.GetMaxMembers() == 0 && s.settings.GetMaxChannels() == 0 {
		return nil
	}
	t := &tally{state: s, sizes: make(map[string]int)}
	t.memberships, t.channels = s.totals()
	return t
}

func (t *tally) size(name string) int {
	n, ok := t.sizes[name]
	if !ok && !t.emptied {
		n = t.state.size(name)
	}
	return n
}

func (t *tally) room(name string) bool {
	begins := 0
	if t.size(name) == 0 {
		begins = 1
	}
	return within(t.state.settings.GetMaxMembers(), t.memberships, 1) &&
		within(t.state.settings.GetMaxChannels(), t.channels, begins)
}

func (t *tally) add(name string, members int) { t.set(name, t.size(name)+members) }

func (t *tally) destroy(name string) { t.set(name, 0) }

func (t *tally) destroyAll() {
	t.memberships, t.channels, t.emptied = 0, 0, true
	clear(t.sizes)
}

func (t *tally) set(name string, members int) {
	was := t.size(name)
	t.memberships += members - was
	if was > 0 {
		t.channels--
	}
	if members > 0 {
		t.channels++
	}
	t.sizes[name] = members
}

// countLeft counts off what a LeaveAll is about to take out of a draft.
func (d *draft) countLeft(p *place, session uint64) {
	left := make(map[key]struct{}) // each may come twice
	d.each(p, func(k key, held uint64) bool {
		if session == 0 || held <= session {
			left[k] = struct{}{}
		}
		return true
	})
	for k := range left {
		d.tally.add(k.name, -1)
	}
}
