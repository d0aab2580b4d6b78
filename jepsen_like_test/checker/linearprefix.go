package checker

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// until is the history as it stood when the operations that return up to t had
// returned.
func until(ops []porcupine.Operation, t int64) (prefix []porcupine.Operation) {
	for _, p := range ops {
		c := p.Input.(call)
		switch {
		case p.Call > t:
			continue
		case p.Return <= t:
		case c.op.F == history.Read:
			continue
		default:
			p.Output, p.Return = answer{}, t+1
		}
		prefix = append(prefix, p)
	}
	return prefix
}

// returned are those that told something, in that order.
func returned(ops []porcupine.Operation) []porcupine.Operation {
	known := slices.DeleteFunc(slices.Clone(ops), func(p porcupine.Operation) bool {
		c := p.Input.(call)
		return c.turn != nil || c.op.Type == history.Unknown
	})
	slices.SortFunc(known, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	return known
}
