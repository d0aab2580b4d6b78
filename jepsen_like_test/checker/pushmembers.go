package checker

import (
	"iter"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// memberships are what was done to each member, as far as pushes depend on it. Members
// are shared by many writers, so nobody knows when exactly one was there; what follows
// for a push is only what its own process had been told.
type memberships struct {
	at      map[place]*membership
	started map[process]time.Duration
}

// membership is the writes on one member, in the order of invocation.
type membership struct{ adds, removals []history.Operation }

func readMemberships(ops []history.Operation, events []history.Event) *memberships {
	ms := &memberships{at: make(map[place]*membership), started: make(map[process]time.Duration)}
	for _, e := range events {
		if e.F == history.Started {
			ms.started[processOf(e)] = e.At
		}
	}
	for _, op := range ops {
		if op.F == history.Add || op.F == history.Leave {
			if p := (place{op.Channel, op.UID, op.SID}); ms.at[p] == nil {
				ms.at[p] = new(membership)
			}
		}
	}
	for _, op := range ops {
		if op.Type == history.Fail {
			continue // no effect, now or later
		}
		for p, m := range ms.at {
			switch {
			case op.F == history.Add && p == place{op.Channel, op.UID, op.SID}:
				m.adds = append(m.adds, op)
			case removes(op, p):
				m.removals = append(m.removals, op)
			}
		}
	}
	return ms
}

func removes(op history.Operation, p place) bool {
	switch op.F {
	case history.Leave:
		return p == place{op.Channel, op.UID, op.SID}
	case history.LeaveAll:
		return op.UID == p.uid && op.SID == p.sid
	case history.Destroy:
		return op.Channel == p.channel
	}
	return false
}

// owedTo are the members whom a push has to reach: added, as its process was told
// before the call, removed by nobody since, and on a server whose life did not end in
// between as far as that process knew when the push returned. (That is enough: a life
// whose end it did not know was a target.)
func (ms *memberships) owedTo(p history.Operation) iter.Seq[place] {
	return func(yield func(place) bool) {
		for where, m := range ms.at {
			if where.channel == p.Channel && m.owed(p, where.sid) && !yield(where) {
				return
			}
		}
	}
}

func (m *membership) owed(p history.Operation, sid string) bool {
	add, ok := lastTold(m.adds, p)
	if !ok || add.Lives[sid] == 0 || add.Lives[sid] != p.Lives[sid] {
		return false
	}
	for _, r := range m.removals {
		if r.Returned > add.Invoked && r.Invoked < p.Returned {
			return false
		}
	}
	return true
}

// leftFor says that a push must not reach the member: its process had been told of
// a removal before the call, and nobody can have added the member again until now.
func (m *membership) leftFor(p history.Operation, now time.Duration) bool {
	removal, ok := lastTold(m.removals, p)
	if !ok {
		return false
	}
	for _, add := range m.adds {
		if add.Returned > removal.Invoked && add.Invoked < now {
			return false
		}
	}
	return true
}

// lastTold is the newest of those writes whose success the process of a push had been
// told before the call.
func lastTold(ops []history.Operation, p history.Operation) (last history.Operation, ok bool) {
	for _, op := range ops {
		if op.Type == history.OK && op.Returned < p.Invoked && processOf(op.Event) == processOf(p.Event) {
			last, ok = op, true
		}
	}
	return last, ok
}

// addedBefore says whether anybody may have added the member by then.
func (m *membership) addedBefore(now time.Duration) bool { return m.addedAfter(0, now) }

// addedAfter says whether anybody may have added the member in between.
func (m *membership) addedAfter(from, now time.Duration) bool {
	if m == nil {
		return false
	}
	for _, add := range m.adds {
		if add.Invoked < now && add.Returned > from {
			return true
		}
	}
	return false
}
