package fsm

import (
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// An operation follows a dozen pointers, and in a large state each of them leads to
// memory that no cache of the processor has: a tenth of a microsecond or two, one after
// the other. So the same step is made for many operations of a batch before the next one
// is. Each step finds out where the next one has to look, from what is at hand already,
// and then all those places are read in a loop of a few instructions, so that the processor
// waits for all of them at once: it looks two hundred instructions ahead. Nothing here
// decides anything.

// warmOps is how many operations are looked ahead: what they need fits into the smaller
// caches.
const warmOps = 32

type warmth struct {
	n   int
	ops [warmOps]*op

	places  [4 * warmOps]*uint32 // to be read in this step
	reading int
	sum     uint32 // or the compiler would find that nothing is done

	ids      [warmOps]uint32 // of the players in their shards, most likely; 0: none
	channels [warmOps]*channel
}

func (w *warmth) want(p *uint32) {
	w.places[w.reading] = p
	w.reading++
}

func (w *warmth) read() {
	sum := uint32(0)
	for _, p := range w.places[:w.reading] {
		sum += *p
	}
	w.sum, w.reading = w.sum+sum, 0
}

// lookAhead looks at what an entry needs. It changes nothing that reads look at, so they
// may go on, and the entry, which keeps them out, takes half as long.
func (s *State) lookAhead(c *command) {
	w, n := &s.warmth, 0
	for i := range c.batches {
		for j := range c.batches[i].groups {
			ops := c.batches[i].groups[j].ops
			for k := range ops {
				s.note(w, &ops[k])
				if w.n == warmOps {
					s.warmUp(w)
				}
			}
			n += len(ops)
		}
	}
	s.warmUp(w)
	c.near = n <= nearOps
}

// nearOps is how many operations the cache of a core has room for. Of larger entries what
// they need has come nearer only, so they look ahead once more.
const nearOps = 256

// warm looks at what the first operations of some groups need, and says how many groups
// that were.
func (s *State) warm(groups []group) (n int) {
	w := &s.warmth
	for n < len(groups) && w.n+len(groups[n].ops) <= warmOps {
		for i := range groups[n].ops {
			s.note(w, &groups[n].ops[i])
		}
		n++
	}
	s.warmUp(w)
	return max(n, 1)
}

func (s *State) note(w *warmth, o *op) {
	if o.kind == fsmpb.OpKind_OP_ADD || o.kind == fsmpb.OpKind_OP_LEAVE {
		s.locate(&o.place)
		w.ops[w.n] = o
		w.n++
	}
}

func (s *State) warmUp(w *warmth) {
	if w.n > 1 { // alone it would wait here as long as there
		s.warmPlayers(w)
		s.warmChannels(w)
		clear(w.places[:]) // a pointer keeps alive what it leads to
		clear(w.channels[:w.n])
	}
	clear(w.ops[:w.n])
	w.n = 0
}

func (s *State) warmPlayers(w *warmth) {
	ops := w.ops[:w.n]
	for _, o := range ops {
		if slot := s.players[o.playerShard].texts.FirstSlot(o.playerHash); slot != nil {
			w.want(slot)
		}
	}
	w.read()
	for i, o := range ops {
		p := s.players[o.playerShard]
		if w.ids[i] = p.texts.Guess(o.playerHash); w.ids[i] != 0 {
			w.want(p.texts.Record(w.ids[i]))
		}
	}
	w.read()
	for i, o := range ops {
		if w.ids[i] == 0 {
			continue
		}
		p := s.players[o.playerShard]
		w.want(p.texts.Word(w.ids[i]))
		if ways := compact.Ref(p.texts.Data(w.ids[i])); ways != 0 {
			w.want(p.mem.Word(ways, 0))
			w.want(p.mem.Span(ways))
		}
	}
	w.read()
	for i, o := range ops {
		if w.ids[i] == 0 {
			continue
		}
		if ways := s.players[o.playerShard].block(w.ids[i]); len(ways) > 0 {
			w.want(&ways[len(ways)-1])
		}
	}
	w.read()
}

func (s *State) warmChannels(w *warmth) {
	ops := w.ops[:w.n]
	for _, o := range ops {
		if slot := s.channels[o.channelShard].names.FirstSlot(o.channelHash); slot != nil {
			w.want(slot)
		}
	}
	w.read()
	var names [warmOps]uint32
	for i, o := range ops {
		cs := s.channels[o.channelShard]
		if names[i] = cs.names.Guess(o.channelHash); names[i] != 0 {
			w.want(cs.names.Record(names[i]))
		}
	}
	w.read()
	for i, o := range ops {
		w.channels[i] = nil
		if cs := s.channels[o.channelShard]; names[i] != 0 {
			w.channels[i] = cs.byID[names[i]]
		}
	}
	for i, o := range ops {
		if c := w.channels[i]; c != nil {
			w.want(&c.id)
			w.want(s.channels[o.channelShard].names.Word(names[i]))
		}
	}
	w.read()
	for i := range ops {
		if c := w.channels[i]; c != nil && len(c.cells) > 0 {
			n := len(c.cells)
			w.want(&c.cells[0].sid)
			w.want(&c.cells[n/2].sid)
			w.want(&c.cells[n-1].sid)
		}
	}
	w.read()
	for i, o := range ops {
		s.warmCell(w, o, w.channels[i], w.ids[i])
	}
	w.read()
}

func (s *State) warmCell(w *warmth, o *op, c *channel, player uint32) {
	sid := s.sids.known(o.sid)
	if c == nil || sid == nil {
		return
	}
	if set := c.members(sid.number); set != nil {
		mem := s.channels[o.channelShard].mem
		if block, from, to := set.Slots(mem, player<<shardBits|uint32(o.playerShard)); block != 0 {
			w.want(mem.Word(block, from))
			w.want(mem.Word(block, to))
			w.want(mem.Span(block))
		}
	}
}
