package fsm

import (
	"slices"
)

// List is the uids of a read, at its index. To find the texts of many takes long, and
// entries would wait meanwhile: of a long list the View copies the ids, and the texts are
// read when they are asked for, after the View. So they have to be asked for: until then
// the state keeps what the ids stand for. The zero value is empty.
type List struct {
	uids []string
	long *long
}

// long is ids whose texts are to be read.
type long struct {
	ids      []uint32
	repeated bool // they may come more than once
	tables   *tables
	pins     *pins
	epoch    uint64 // in which they are pinned
	done     bool
	uids     []string
}

// listOf is a list of ids. A short one is read at once: a pin costs the entries that come
// meanwhile more.
func (s *State) listOf(ids []uint32, repeated bool) List {
	switch {
	case len(ids) == 0:
		return List{}
	case len(ids) > idsAtHand:
		l := s.longOf(ids)
		l.repeated = repeated
		return List{long: l}
	case repeated:
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	return List{uids: s.textsOf(ids)}
}

// longOf holds on to what ids stand for.
func (s *State) longOf(ids []uint32) *long {
	return &long{ids: ids, tables: s.tables, pins: &s.pins, epoch: s.pins.pin()}
}

// read reads the texts, once.
func (l *long) read(texts func(ids []uint32)) {
	if l == nil || l.done {
		return
	}
	l.done = true
	defer l.pins.unpin(l.epoch)
	if l.repeated {
		slices.Sort(l.ids)
		l.ids = slices.Compact(l.ids)
	}
	texts(l.ids)
	l.ids, l.tables, l.pins = nil, nil, nil // who keeps the list keeps no old state alive
}

// UIDs are each once, in no particular order, and the caller's to keep.
func (l List) UIDs() []string {
	if l.long == nil {
		return l.uids
	}
	l.long.read(func(ids []uint32) { l.long.uids = l.long.tables.textsOf(ids) })
	return l.long.uids
}

// MemberList is the same of memberships.
type MemberList struct {
	members []Member
	long    *longMembers
}

type longMembers struct {
	*long
	memberships
	members []Member
}

// Members are in no particular order, and the caller's to keep.
func (l MemberList) Members() []Member {
	if l.long == nil {
		return l.members
	}
	l.long.read(func(ids []uint32) { l.long.members = l.long.named(l.long.tables.copyTexts(ids)) })
	return l.long.members
}

// memberships are those of some ids: what a View has to copy of them.
type memberships struct {
	parts    []part
	sessions []uint64 // of all ids; nil: all are 0
}

// part is the members on one sid.
type part struct {
	sid string
	end int // of its ids
}

// partsAtHand is how many are noted without an allocation.
const partsAtHand = 16

// add notes a crew, and appends its ids.
func (m *memberships) add(c *crew, ids []uint32) []uint32 {
	if !c.valued() {
		ids = c.appendIDs(ids)
		if m.sessions != nil {
			m.sessions = append(m.sessions, make([]uint64, len(ids)-len(m.sessions))...)
		}
	} else {
		if m.sessions == nil {
			m.sessions = make([]uint64, len(ids), max(cap(ids), 1))
		}
		for player, session := range c.all {
			ids, m.sessions = append(ids, player), append(m.sessions, session)
		}
	}
	m.parts = append(m.parts, part{c.sid.name, len(ids)})
	return ids
}

func (m *memberships) named(uids *textCopy) []Member {
	members := make([]Member, len(uids.ends))
	at := 0
	uids.each(func(i int, uid string) {
		if i == m.parts[at].end {
			at++
		}
		members[i] = Member{UID: uid, SID: m.parts[at].sid}
		if m.sessions != nil {
			members[i].Session = m.sessions[i]
		}
	})
	return members
}

// Read reads the uids of a target of Targets, after the View.
func (t *Target) Read() {
	if t.UIDs == nil {
		t.UIDs, t.list = t.list.UIDs(), List{}
	}
}
