package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// checkOrder compares indexes with real time: what was acknowledged before
// another write was sent has the lower index.
func checkOrder(ops []history.Operation) (broken []Violation) {
	var sent []history.Operation
	for _, op := range ops {
		if op.Type == history.OK && (op.F == history.Add || op.F == history.Leave) {
			sent = append(sent, op)
		}
	}
	done := slices.Clone(sent)
	slices.SortStableFunc(done, func(a, b history.Operation) int { return cmp.Compare(a.Returned, b.Returned) })
	var highest history.Operation // of those that had returned
	for _, op := range sent {     // in the order of invocation
		for len(done) > 0 && done[0].Returned < op.Invoked {
			if done[0].Index >= highest.Index {
				highest = done[0]
			}
			done = done[1:]
		}
		if op.Index <= highest.Index {
			broken = append(broken, Violation{Order, op.Op, fmt.Sprintf(
				"took effect at index %d, but operation %d, acknowledged before it was sent, at %d", op.Index, highest.Op, highest.Index)})
		}
	}
	return broken
}
