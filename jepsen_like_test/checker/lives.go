package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// forever is the end of a life that is not over.
const forever = uint64(math.MaxUint64)

// life is one registered existence of a sid: at index from and later, before to.
type life struct{ epoch, from, to uint64 }

// lives are all that the history shows, per sid in the order of their beginning.
type lives struct {
	bySID map[string][]life
	stype map[string]string
	seen  int
	ended int
}

func readLives(events []history.Event) (*lives, error) {
	ls := &lives{bySID: make(map[string][]life), stype: make(map[string]string)}
	for i, e := range events {
		if e.F != history.Life {
			continue
		}
		if e.SID == "" || e.Epoch == 0 || e.Index == 0 {
			return nil, fmt.Errorf("event %d: a life needs sid, epoch and index: %+v", i+1, e)
		}
		ls.stype[e.SID] = e.SType
		if !slices.ContainsFunc(ls.bySID[e.SID], func(l life) bool { return l.epoch == e.Epoch }) {
			ls.bySID[e.SID] = append(ls.bySID[e.SID], life{epoch: e.Epoch, from: e.Index, to: forever})
			ls.seen++
		}
	}
	for sid, list := range ls.bySID {
		slices.SortFunc(list, func(a, b life) int { return cmp.Compare(a.from, b.from) })
		for i := 1; i < len(list); i++ {
			if list[i].from == list[i-1].from {
				return nil, fmt.Errorf("lives %d and %d of %s begin at one index", list[i-1].epoch, list[i].epoch, sid)
			}
			list[i-1].to = list[i].from
			ls.ended++
		}
	}
	return ls, nil
}

// of finds the life that a write was for: the one it named, or the one that was
// current where it took effect.
func (ls *lives) of(op history.Operation) (life, error) {
	for _, l := range ls.bySID[op.SID] {
		if op.Epoch == l.epoch || (op.Epoch == 0 && l.from <= op.Index && op.Index < l.to) {
			return l, nil
		}
	}
	return life{}, fmt.Errorf("operation %d: the history shows no life %d of %s (at index %d)", op.Op, op.Epoch, op.SID, op.Index)
}
