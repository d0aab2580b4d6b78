package checker

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// checkReplicas compares what replicas held at the same index.
func checkReplicas(events []history.Event) (seen int, broken []Violation) {
	first := make(map[uint64]history.Event)
	for _, e := range events {
		if e.F != history.Replica {
			continue
		}
		seen++
		other, ok := first[e.Index]
		switch {
		case !ok:
			first[e.Index] = e
		case other.State != e.State:
			broken = append(broken, Violation{Diverged, 0, fmt.Sprintf(
				"at index %d %s has state %.12s and %s has %.12s", e.Index, other.Via, other.State, e.Via, e.State)})
		}
	}
	return seen, broken
}
