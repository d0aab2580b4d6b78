package fsm

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// capture is the state at one index. To begin one takes as long as there are servers
// and shards; it is read afterwards, by one goroutine, while entries are applied (see
// undo.go). There is one at a time.
//
// What it gives are the sections of a snapshot. They are numbered by what is in them,
// so that equal states give equal bytes: sids by name, players by shard and uid.
type capture struct {
	*tables
	index uint64
	head  *fsmpb.SnapshotHead

	numbers []uint32          // by sid number, its place in the head's sids plus 1; 0: not in the capture
	dead    map[uint32]uint64 // sids that had been purged, by number, and when
	clean   bool              // no way back led to a channel that had ended
	ranks   [shards][]uint32  // by local id: the player's place in its section plus 1

	playerUndo  [shards]*playerUndo
	channelUndo [shards]*channelUndo

	piecePlayers, pieceMembers int // that are read at a time
	pieceIDs                   uint32

	notes    int // that were made; the writer's
	ended    atomic.Bool
	done     chan struct{} // closed when it has ended
	pins     *pins
	epoch    uint64 // that it is pinned in
	released atomic.Bool
}

var errCaptureOver = errors.New("given up: another one was begun, or too much was written meanwhile")

// capturing is the capture that needs to be told of changes; nil if there is none.
func (s *State) capturing() *capture {
	if s.capture != nil && s.capture.over() {
		for i := range shards { // of the tables that it was taken from, or others that have none
			s.players[i].undo, s.channels[i].undo = nil, nil
		}
		s.capture = nil
	}
	return s.capture
}

// maxNotes bounds the memory of a capture whose reader does not come along, because the
// disk that it writes to hangs for example.
func (s *State) maxNotes() int { return 1<<20 + (s.count.visible+s.count.parked)/4 }

func (c *capture) over() bool { return c.ended.Load() }

// giveUp ends the capture. Its reader may be busy elsewhere and hear of it late: what the
// ids stand for stays until the reader releases it, members do not. It is safe to repeat.
func (c *capture) giveUp() {
	if c.ended.CompareAndSwap(false, true) {
		close(c.done)
	}
}

// release is the reader's, who is done with it. It is safe to repeat.
func (c *capture) release() {
	c.giveUp()
	if c.released.CompareAndSwap(false, true) {
		c.pins.unpin(c.epoch)
	}
}

// begin begins a capture of the state as it is now. One that is under way is given
// up. Nobody applies meanwhile.
func (s *State) begin() *capture {
	if old := s.capturing(); old != nil {
		old.giveUp()
	}
	c := &capture{
		tables: s.tables, index: s.index, head: s.snapshotHead(),
		dead: make(map[uint32]uint64), pins: &s.pins, epoch: s.pins.pin(), done: make(chan struct{}),
		clean: len(s.garbage.orphans) == 0, piecePlayers: piecePlayers, pieceMembers: pieceMembers, pieceIDs: pieceIDs,
	}
	c.takeSIDs(s.sids)
	for _, sid := range s.garbage.dead {
		c.dead[sid.number] = sid.dead
	}
	for i := range shards {
		p, cs := s.players[i], s.channels[i]
		c.playerUndo[i] = &playerUndo{capture: c, high: p.texts.Cap(), past: make(map[uint32][]pastPair)}
		c.channelUndo[i] = &channelUndo{capture: c, high: cs.names.Cap(), past: make(map[uint32]*past)}
		p.undo, cs.undo = c.playerUndo[i], c.channelUndo[i]
	}
	s.capture = c
	return c
}

// takeSIDs numbers the sids that have members.
func (c *capture) takeSIDs(t *sids) {
	c.numbers = make([]uint32, len(t.slots))
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		if s := t.byName[name]; s.count > 0 {
			c.head.Sids = append(c.head.Sids, name)
			c.numbers[s.number] = uint32(len(c.head.Sids))
		}
	}
}

// number is 0 for a sid that had no members at that index.
func (c *capture) number(sid uint32) uint32 {
	if int(sid) < len(c.numbers) {
		return c.numbers[sid]
	}
	return 0
}

// lastChange of a channel at the index, if it has not changed since.
func (c *capture) lastChange(ch *channel) uint64 {
	changed := ch.changed
	if len(c.dead) > 0 {
		for i := range ch.cells {
			changed = max(changed, c.dead[ch.cells[i].sid])
		}
	}
	return changed
}

// alive says whether a player had a channel on a sid at the index, if its ways have
// not changed since. Those of channels that have ended since are there yet: nothing is
// swept while there is a capture. The shards of channels are locked if it is not clean, or
// it is the writer who asks.
func (c *capture) alive(g stay) bool {
	if c.number(g.sid) == 0 {
		return false
	}
	if c.clean {
		return true
	}
	return slices.ContainsFunc(g.channels, func(id uint32) bool {
		_, ch := c.channel(id)
		return ch.ended == 0 || ch.ended > c.index
	})
}
