package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Forever is the time of return of an operation whose outcome is unknown.
const Forever = time.Duration(math.MaxInt64)

// Operation is an invocation joined with its completion: the fields of the
// completion, and both times.
type Operation struct {
	Event
	Invoked, Returned time.Duration
	// GaveUp is when the caller stopped waiting for one of unknown outcome; of all
	// others it is Returned. Forever: it never did, as far as is known.
	GaveUp time.Duration
}

// Operations joins the events, in the order of invocation. Anything that breaks
// the form of a history is an error: a checker would draw conclusions from it.
func Operations(events []Event) ([]Operation, error) {
	open := make(map[int]Event)
	ops := make([]Operation, 0, len(events)/2)
	for i, e := range events {
		switch e.Type {
		case Note:
		case Invoke:
			if _, twice := open[e.Op]; twice || e.Op <= 0 {
				return nil, fmt.Errorf("event %d: operation %d was invoked before, or has no number", i+1, e.Op)
			}
			open[e.Op] = e
		case OK, Fail, Unknown:
			inv, ok := open[e.Op]
			if !ok || inv.Type != Invoke || inv.F != e.F || inv.At > e.At {
				return nil, fmt.Errorf("event %d: completion of operation %d (%s), which was not invoked before", i+1, e.Op, e.F)
			}
			op := Operation{Event: e, Invoked: inv.At, Returned: e.At, GaveUp: e.At}
			if e.Type == Unknown {
				op.Returned = Forever
			}
			ops = append(ops, op)
			open[e.Op] = Event{Type: e.Type} // its number stays taken
		default:
			return nil, fmt.Errorf("event %d: type %q", i+1, e.Type)
		}
	}
	for _, e := range open {
		if e.Type == Invoke {
			e.Type = Unknown
			ops = append(ops, Operation{Event: e, Invoked: e.At, Returned: Forever, GaveUp: Forever})
		}
	}
	slices.SortFunc(ops, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Invoked, b.Invoked), cmp.Compare(a.Op, b.Op))
	})
	return ops, nil
}
