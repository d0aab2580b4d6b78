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
// waits for all of them at once: it looks some hundred instructions ahead. What was found is
// kept with the operation (where), and good as long as no text comes or goes.

// warmOps is how many operations are looked ahead: what they need fits into the smaller
// caches.
const warmOps = 32

type warmth struct {
	n   int
	ops [warmOps]*op
	sum uint32 // or the compiler would find that nothing is done
}

// fetch is places to be read in a step.
type fetch struct {
	n      int
	places [7 * warmOps]*uint32
}

func (f *fetch) want(p *uint32) {
	f.places[f.n] = p
	f.n++
}

// wantCells is where they are looked through: three of them fill a line of the cache. Of
// more than 18 it is not all lines.
func (f *fetch) wantCells(cells []cell) {
	for i := 0; i < len(cells); i += max(3, (len(cells)+5)/6) {
		f.want(&cells[i].sid)
	}
}

//go:noinline
func (f *fetch) read() (sum uint32) {
	for _, p := range f.places[:f.n] {
		sum += *p
	}
	f.n = 0
	return sum
}

// warm looks at what the first operations of some groups need, and says how many groups
// that were.
func (s *State) warm(groups []group) (n int) {
	for ops := 0; n < len(groups) && ops+len(groups[n].ops) <= warmOps; n++ {
		ops += len(groups[n].ops)
		s.warmEach(groups[n].ops)
	}
	s.warmUp()
	return max(n, 1)
}

func (s *State) warmEach(ops []op) {
	w := &s.warmth
	for i := range ops {
		o := &ops[i]
		if o.kind != fsmpb.OpKind_OP_ADD && o.kind != fsmpb.OpKind_OP_LEAVE {
			continue
		}
		s.locate(&o.place)
		w.ops[w.n] = o
		if w.n++; w.n == warmOps {
			s.warmUp()
		}
	}
}

func (s *State) warmUp() {
	w := &s.warmth
	if w.n > 1 { // alone it would wait here as long as there
		w.sum += s.warmAll(w.ops[:w.n])
	}
	clear(w.ops[:w.n])
	w.n = 0
}

func (s *State) warmAll(ops []*op) (sum uint32) {
	var f fetch
	for _, o := range ops {
		if slot := s.players[o.playerShard].texts.FirstSlot(o.playerHash); slot != nil {
			f.want(slot)
		}
		if slot := s.channels[o.channelShard].names.FirstSlot(o.channelHash); slot != nil {
			f.want(slot)
		}
	}
	sum += f.read()
	for _, o := range ops {
		p, cs := s.players[o.playerShard], s.channels[o.channelShard]
		if o.playerFound.id = p.texts.Guess(o.playerHash); o.playerFound.id != 0 {
			f.want(p.texts.Record(o.playerFound.id))
		}
		if o.channelFound.id = cs.names.Guess(o.channelHash); o.channelFound.id != 0 {
			f.want(cs.names.Record(o.channelFound.id))
		}
	}
	sum += f.read()
	var channels [warmOps]*channel
	for i, o := range ops {
		if o.channelFound.id != 0 {
			channels[i] = s.channels[o.channelShard].byID[o.channelFound.id]
		}
	}
	for i, o := range ops {
		if p := s.players[o.playerShard]; o.playerFound.id != 0 {
			f.want(p.texts.Word(o.playerFound.id))
			if ways := compact.Ref(p.texts.Data(o.playerFound.id)); ways != 0 {
				f.want(p.mem.Word(ways, 0))
				f.want(p.mem.Span(ways))
			}
		}
		if c := channels[i]; c != nil {
			f.want(&c.id)
			f.want(s.channels[o.channelShard].names.Word(o.channelFound.id))
		}
	}
	sum += f.read()
	for i, o := range ops {
		if p := s.players[o.playerShard]; o.playerFound.id != 0 {
			if ways := p.block(o.playerFound.id); len(ways) > 0 {
				f.want(&ways[len(ways)-1])
			}
		}
		if c := channels[i]; c != nil {
			f.wantCells(c.cells)
		}
	}
	sum += f.read()
	for i, o := range ops {
		s.confirm(o)
		s.warmCell(&f, o, channels[i])
	}
	return sum + f.read()
}

// confirm makes what was guessed of an operation what is found.
func (s *State) confirm(o *op) {
	texts, names := s.players[o.playerShard].texts, s.channels[o.channelShard].names
	o.playerFound = found{texts.Confirm(o.playerFound.id, o.playerHash, o.uid), texts.Age()}
	o.channelFound = found{names.Confirm(o.channelFound.id, o.channelHash, o.name), names.Age()}
}

func (s *State) warmCell(f *fetch, o *op, c *channel) {
	sid := s.sids.known(o.sid)
	if c == nil || sid == nil {
		return
	}
	if set := c.members(sid.number); set != nil {
		mem := s.channels[o.channelShard].mem
		if block, from, to := set.Slots(mem, o.playerFound.id<<shardBits|uint32(o.playerShard)); block != 0 {
			f.want(mem.Word(block, from))
			f.want(mem.Word(block, to))
			f.want(mem.Span(block))
		}
	}
}
