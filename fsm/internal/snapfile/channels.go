package snapfile

import (
	"encoding/binary"
	"math"
	"slices"
)

// Cell is a channel's members on one sid.
type Cell struct {
	SID      uint32   // its number in the header
	Members  []uint32 // ids of players, ascending
	Sessions []uint64 // one for each member, or nil if all are 0
}

// How the sessions of a cell are written.
const (
	noSessions = iota
	oneSession // all members have it
	allSessions
)

// ChannelsEncoder writes the channels of a shard, in the order of their names.
type ChannelsEncoder struct {
	base     uint64
	rows     int
	names    textWriter
	changed  []byte
	cells    []byte // how many, and each as sid, number of members, kind of sessions
	members  []byte // as distances
	sessions []byte
	out      []byte
}

// Reset begins a section. No index of a change is above base.
func (e *ChannelsEncoder) Reset(base uint64) {
	e.base, e.rows = base, 0
	e.names.reset()
	e.changed, e.cells, e.members, e.sessions = e.changed[:0], e.cells[:0], e.members[:0], e.sessions[:0]
}

// Add adds a channel with its cells, at least one, by sid. None of them is empty.
func (e *ChannelsEncoder) Add(name []byte, changed uint64, cells []Cell) {
	e.rows++
	e.names.add(name)
	e.changed = binary.AppendUvarint(e.changed, e.base-changed)
	e.cells = binary.AppendUvarint(e.cells, uint64(len(cells)))
	next := uint32(0)
	for _, c := range cells {
		e.cells = binary.AppendUvarint(e.cells, uint64(c.SID-next))
		e.cells = binary.AppendUvarint(e.cells, uint64(len(c.Members)))
		next = c.SID + 1
		e.addMembers(c.Members)
		e.addSessions(c.Sessions)
	}
}

func (e *ChannelsEncoder) addMembers(members []uint32) {
	last := uint32(0)
	for _, m := range members {
		e.members = binary.AppendUvarint(e.members, uint64(m-last))
		last = m
	}
}

func (e *ChannelsEncoder) addSessions(sessions []uint64) {
	kind := allSessions
	switch {
	case len(sessions) == 0 || !slices.ContainsFunc(sessions, func(s uint64) bool { return s != sessions[0] }):
		if kind = oneSession; len(sessions) == 0 || sessions[0] == 0 {
			kind = noSessions
		}
	}
	e.cells = append(e.cells, byte(kind))
	switch kind {
	case oneSession:
		e.sessions = binary.AppendUvarint(e.sessions, sessions[0])
	case allSessions:
		for _, s := range sessions {
			e.sessions = binary.AppendUvarint(e.sessions, s)
		}
	}
}

// Len is the number of channels so far.
func (e *ChannelsEncoder) Len() int { return e.rows }

// Bytes is the content of the section, valid until the next Bytes.
func (e *ChannelsEncoder) Bytes() []byte {
	e.out = appendColumns(e.out[:0], e.rows, e.names.out, e.changed, e.cells, e.members, e.sessions)
	return e.out
}

// channelsDecoder has the columns of a section.
type channelsDecoder struct {
	names                             textReader
	changed, heads, members, sessions column

	sids       uint32
	known      func(uint32) bool
	cells      []Cell
	memberBuf  []uint32
	sessionBuf []uint64
}

// DecodeChannels visits the channels of a section, whose base and number of sids are those
// of the header; known says which ids are those of players. What visit gets is borrowed;
// its error ends the reading. Else the error is ErrMalformed.
func DecodeChannels(raw []byte, base uint64, sids uint32, known func(id uint32) bool, visit func(name []byte, changed uint64, cells []Cell) error) error {
	d := channelsDecoder{sids: sids, known: known}
	rows, err := columnsOf(raw, &d.names.column, &d.changed, &d.heads, &d.members, &d.sessions)
	if err != nil {
		return err
	}
	for range rows {
		name := d.names.next()
		changed := base - d.changed.below(base+1)
		d.readCells()
		if err := d.err(false); err != nil {
			return err
		}
		if err := visit(name, changed, d.cells); err != nil {
			return err
		}
	}
	return d.err(true)
}

func (d *channelsDecoder) err(finished bool) error {
	return firstError(finished, &d.names.column, &d.changed, &d.heads, &d.members, &d.sessions)
}

func (d *channelsDecoder) readCells() {
	d.cells, d.memberBuf, d.sessionBuf = d.cells[:0], d.memberBuf[:0], d.sessionBuf[:0]
	n := d.heads.below(uint64(d.sids) + 1)
	if n == 0 {
		d.heads.fail("channel without a cell")
	}
	for next := uint32(0); n > 0 && d.err(false) == nil; n-- {
		sid := next + uint32(d.heads.below(uint64(d.sids-next)))
		count := d.heads.uvarint()
		// Every member is a byte at least, so no number can ask for more than there is.
		if count == 0 || count > uint64(len(d.members.rest)) {
			d.heads.fail("cell of %d members", count)
			return
		}
		c := Cell{SID: sid, Members: d.readMembers(int(count))}
		c.Sessions = d.readSessions(d.heads.below(allSessions+1), int(count))
		d.cells = append(d.cells, c)
		next = sid + 1
	}
}

func (d *channelsDecoder) readMembers(count int) []uint32 {
	start, last := len(d.memberBuf), uint64(0)
	for range count {
		step := d.members.uvarint()
		last += step
		if step == 0 || step > math.MaxUint32 || last > math.MaxUint32 || !d.known(uint32(last)) {
			d.members.fail("no such member %d", last)
			return nil
		}
		d.memberBuf = append(d.memberBuf, uint32(last))
	}
	return d.memberBuf[start:]
}

func (d *channelsDecoder) readSessions(kind uint64, count int) []uint64 {
	if kind == noSessions {
		return nil
	}
	start := len(d.sessionBuf)
	first := d.sessions.uvarint()
	d.sessionBuf = append(d.sessionBuf, first)
	differs := false
	for range count - 1 {
		s := first
		if kind == allSessions {
			s = d.sessions.uvarint()
			differs = differs || s != first
		}
		d.sessionBuf = append(d.sessionBuf, s)
	}
	if differs != (kind == allSessions) || kind == oneSession && first == 0 {
		d.sessions.fail("sessions that should be written in another way")
	}
	return d.sessionBuf[start:]
}
