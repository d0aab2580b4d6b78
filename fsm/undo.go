package fsm

import "github.com/pofresh/globalchannel/fsm/internal/compact"

// A capture reads the state bit by bit while writes go on, and has to see it as it was
// at one index. So whoever changes what it has not read yet first notes how that was.
// The notes are about memberships, not memory: they grow with the writes and not with
// what the writes touch. They hang on the shard and are guarded by its lock.

// channelUndo is what a capture has yet to read of a shard of channels, and what was
// changed of it since.
type channelUndo struct {
	capture *capture
	high    uint32   // local ids from here on are younger than the capture
	turn    []uint32 // by local id: when the channel is read; 0: it is not. nil: not decided yet
	now     uint32   // whose turn it is
	at      mark     // how far that one has been read
	past    map[uint32]*past
}

// mark is a position in a channel.
type mark struct {
	sid   uint32
	order uint64 // of compact.Order
}

func (m mark) passed(sid, player uint32) bool {
	return sid < m.sid || sid == m.sid && compact.Order(player) < m.order
}

// past is how a channel was.
type past struct {
	changed uint64
	members notes[pair, membership]
	cells   []cell // that it lost, as a whole
}

// pair is a player on a sid, by their numbers.
type pair struct{ sid, player uint32 }

// membership is that of a pair in a channel.
type membership struct {
	session uint64
	there   bool
}

// past is where to note a change of a channel; nil: nobody needs it.
func (cs *channels) past(c *channel) *past {
	u := cs.undo
	if u == nil || u.capture.over() || c.local() >= u.high || u.turn != nil && u.turn[c.local()] < u.now {
		return nil
	}
	p := u.past[c.local()]
	if p == nil {
		p = &past{changed: u.capture.lastChange(c)}
		u.past[c.local()] = p
	}
	return p
}

func (cs *channels) noteMember(c *channel, sid, player uint32, was membership) {
	p := cs.past(c)
	if p == nil {
		return
	}
	if u := cs.undo; u.turn != nil && u.turn[c.local()] == u.now && u.at.passed(sid, player) {
		return
	}
	if k := (pair{sid, player}); p.members.of(k) == nil {
		p.members.note(k, was)
		cs.undo.capture.notes++
	}
}

func (cs *channels) noteCells(c *channel, cells ...cell) {
	if p := cs.past(c); p != nil {
		p.cells = append(p.cells, cells...)
	}
}

// playerUndo is the same for a shard of players: when they were added last.
type playerUndo struct {
	capture *capture
	high    uint32
	turn    []uint32
	now     uint32
	past    map[uint32][]pastPair
}

type pastPair struct {
	sid   uint32
	added uint64
	alive bool // the player had a channel there
}

// notePair is called before a player's ways on a sid change.
func (s *State) notePair(p *players, local, sid uint32) {
	u := p.undo
	if u == nil || u.capture.over() || local >= u.high || u.turn != nil && u.turn[local] < u.now {
		return
	}
	for _, noted := range u.past[local] {
		if noted.sid == sid {
			return
		}
	}
	u.capture.notes++
	g, ok := p.stay(local, sid)
	u.past[local] = append(u.past[local], pastPair{sid: sid, added: g.added, alive: ok && u.capture.alive(g)})
}
