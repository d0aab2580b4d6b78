package checker

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// checkFences looks for writes that were acknowledged where they had no life: adds for
// one that was over, so that the player would belong to a server that is gone, and
// writes by one that was over.
func checkFences(ops []history.Operation, lives *lives) (broken []Violation) {
	for _, op := range ops {
		if op.Type != history.OK || op.F == history.Read || op.Index == 0 {
			continue
		}
		if list := lives.bySID[op.Via]; len(list) > 0 && op.Index > list[0].from && lives.at(op.Via, op.Index) == nil {
			broken = append(broken, Violation{Fence, op.Op, fmt.Sprintf(
				"acknowledged at index %d by %s, which had no life there", op.Index, op.Via)})
		}
		if op.F != history.Add {
			continue
		}
		meant, err := lives.of(op)
		if err != nil {
			continue // gather has refused the history
		}
		if l := lives.at(op.SID, op.Index); l == nil || l.epoch < meant.epoch || l.first != meant.first {
			broken = append(broken, Violation{Fence, op.Op, fmt.Sprintf(
				"%s for life %d of %s acknowledged at index %d; that life is %s", op.UID, meant.epoch, op.SID, op.Index, meant)})
		}
	}
	return broken
}

// at is the life of a sid that may have gone on at an index; nil: none did.
func (ls *lives) at(sid string, index uint64) *life {
	for _, l := range ls.bySID[sid] {
		if l.from <= index && index < l.gone {
			return l
		}
	}
	return nil
}

func (l *life) String() string {
	if l.gone == forever {
		return fmt.Sprintf("from index %d on", l.from)
	}
	return fmt.Sprintf("from index %d to %d at most", l.from, l.gone-1)
}
