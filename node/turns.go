package node

import "time"

// silentFor is how long a server that does not answer may be rebuilding its state: it was
// told in time, by this leader or the one before, and then it took the longest.
const silentFor = auditTimeout + tellTimeout + rebuildTimeout

// turns says whose turn it is to take the right state, one server's at a time: each of
// them is out of use meanwhile, and costs another one a copy.
type turns struct {
	n     int
	began time.Time            // that this node leads
	heard map[string]time.Time // the last answer, by node id
}

func newTurns(began time.Time) *turns {
	return &turns{began: began, heard: make(map[string]time.Time)}
}

// next is one of those that are wrong, each time another one; "" while one is at it, or may
// be.
func (t *turns) next(j judgement, ballots []ballot, now time.Time) string {
	busy := false
	for _, b := range ballots {
		if b.answered {
			t.heard[b.nodeID] = now
			busy = busy || b.rebuilding
			continue
		}
		last := t.began
		if heard := t.heard[b.nodeID]; heard.After(last) {
			last = heard
		}
		busy = busy || now.Sub(last) < silentFor
	}
	t.n++
	if busy || len(j.wrong) == 0 {
		return ""
	}
	return j.wrong[t.n%len(j.wrong)]
}
