package checker

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// checkFences looks for adds that named a life and were acknowledged where it was
// not the current one: the player would belong to a server that is gone.
func checkFences(ops []history.Operation, lives *lives) (broken []Violation) {
	for _, op := range ops {
		if op.F != history.Add || op.Type != history.OK || op.Epoch == 0 {
			continue
		}
		l, err := lives.of(op)
		if err != nil {
			continue // gather has refused the history
		}
		if op.Index < l.from || op.Index >= l.to {
			broken = append(broken, Violation{Fence, op.Op, fmt.Sprintf(
				"%s for life %d of %s acknowledged at index %d; that life is %s", op.UID, l.epoch, op.SID, op.Index, l)})
		}
	}
	return broken
}

func (l life) String() string {
	if l.to == forever {
		return fmt.Sprintf("from index %d on", l.from)
	}
	return fmt.Sprintf("from index %d to %d", l.from, l.to-1)
}
