package fsm

import (
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// An operation follows a dozen pointers, and in a large state each of them leads to
// memory that no cache of the processor has: a tenth of a microsecond or two, one after
// the other. So the same step is made for many operations of a batch before the next one
// is: then the processor waits for all of them at once. Nothing here decides anything.

// warmOps is how many operations are looked ahead: what they need fits into the smaller
// caches.
const warmOps = 32

type warmth struct {
	n    int
	ops  [warmOps]*op
	sink uint32 // or the compiler would find that nothing is done

	players  [warmOps]uint32 // local ids, most likely
	ways     [warmOps]compact.Ref
	channels [warmOps]*channel
}

// warm looks at what the first operations of some groups need, and says how many groups
// that were. Its loops are many and short: the processor looks a few hundred instructions
// ahead, and so sees the loads of many turns.
func (s *State) warm(w *warmth, groups []group) (n int) {
	w.n = 0
	for n < len(groups) && w.n+len(groups[n].ops) <= warmOps {
		for i := range groups[n].ops {
			o := &groups[n].ops[i]
			if o.kind == fsmpb.OpKind_OP_ADD || o.kind == fsmpb.OpKind_OP_LEAVE {
				s.locate(&o.place)
				w.ops[w.n] = o
				w.n++
			}
		}
		n++
	}
	if w.n > 1 {
		s.warmPlayers(w)
		s.warmChannels(w)
	}
	return max(n, 1)
}

func (s *State) warmPlayers(w *warmth) {
	for i, o := range w.ops[:w.n] {
		w.players[i] = s.players[o.playerShard].texts.Guess(o.playerHash)
	}
	var texts [warmOps]compact.Ref
	for i, o := range w.ops[:w.n] {
		var data uint32
		if texts[i], data = 0, 0; w.players[i] != 0 {
			texts[i], data = s.players[o.playerShard].texts.Peek(w.players[i])
		}
		w.ways[i] = compact.Ref(data)
	}
	for i, o := range w.ops[:w.n] {
		if texts[i] != 0 {
			w.sink += s.players[o.playerShard].texts.Word(texts[i])
		}
	}
	for i, o := range w.ops[:w.n] {
		if w.ways[i] != 0 {
			w.sink += s.players[o.playerShard].mem.Block(w.ways[i], 1)[0]
		}
	}
}

func (s *State) warmChannels(w *warmth) {
	var names [warmOps]uint32
	for i, o := range w.ops[:w.n] {
		names[i] = s.channels[o.channelShard].names.Guess(o.channelHash)
	}
	var texts [warmOps]compact.Ref
	for i, o := range w.ops[:w.n] {
		if texts[i], w.channels[i] = 0, nil; names[i] != 0 {
			cs := s.channels[o.channelShard]
			texts[i], _ = cs.names.Peek(names[i])
			w.channels[i] = cs.byID[names[i]]
		}
	}
	var cells [warmOps][]cell
	for i, o := range w.ops[:w.n] {
		if cells[i] = nil; w.channels[i] != nil {
			w.sink += s.channels[o.channelShard].names.Word(texts[i])
			cells[i] = w.channels[i].cells
		}
	}
	for i := range w.ops[:w.n] {
		if len(cells[i]) > 0 {
			w.sink += cells[i][len(cells[i])/2].sid
		}
	}
	for i, o := range w.ops[:w.n] {
		if len(cells[i]) == 0 {
			continue
		}
		if sid := s.sids.known(o.sid); sid != nil {
			if set := w.channels[i].members(sid.number); set != nil {
				player := w.players[i]<<shardBits | uint32(o.playerShard)
				w.sink += set.Touch(s.channels[o.channelShard].mem, player)
			}
		}
	}
}
