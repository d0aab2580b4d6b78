package checker

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// place is one (uid, sid) of one channel.
type place struct{ channel, uid, sid string }

// counted is a member that one worker alone writes, one operation after another,
// so that each answer must tell exactly what its worker did.
type counted struct {
	there bool
	open  bool // the outcome of an operation is unknown: from here on nothing can be told
}

// checkOnce counts effects. A write that took effect twice, late, out of order or
// not at all makes a later one's answer wrong: it says "changed" or "unchanged"
// where only the other is possible. Members of sids whose lives end come and go
// without a write.
func checkOnce(ops []history.Operation, ending map[string]int) (seen int, broken []Violation) {
	shared := sharedPlaces(ops)
	members := make(map[place]*counted)
	for _, op := range ops {
		w, ok := single(op)
		p := place{w.Channel, w.UID, w.SID}
		if _, ends := ending[w.SID]; !ok || ends || op.Type == history.Fail || shared(p) {
			continue
		}
		m := members[p]
		if m == nil {
			m = new(counted)
			members[p] = m
		}
		if m.open = m.open || op.Type == history.Unknown; m.open {
			continue
		}
		add := w.F == history.Add
		want := m.there != add
		m.there = add
		if len(op.Changed) == 0 {
			continue
		}
		seen++
		if op.Changed[0] != want {
			broken = append(broken, Violation{Once, op.Op, fmt.Sprintf(
				"%s of %s in %s told changed = %v, want %v: an earlier write of the same worker took effect twice, late, or not at all",
				w.F, w.UID, w.Channel, op.Changed[0], want)})
		}
	}
	return seen, broken
}

// single is an operation's one Add or Leave.
func single(op history.Operation) (w history.Write, ok bool) {
	list := writes(op)
	if len(list) != 1 || (list[0].F != history.Add && list[0].F != history.Leave) {
		return history.Write{}, false
	}
	return list[0], true
}

// sharedPlaces tells which members more than one worker may have written.
func sharedPlaces(ops []history.Operation) func(place) bool {
	owner := make(map[place]int)
	shared := make(map[place]bool)
	for _, op := range ops {
		for _, w := range writes(op) {
			p := place{w.Channel, w.UID, w.SID}
			if first, seen := owner[p]; seen && first != op.Worker || len(op.Group) > 1 {
				shared[p] = true
			}
			owner[p] = op.Worker
		}
	}
	return func(p place) bool {
		for _, wider := range []place{{channel: p.channel}, {uid: p.uid, sid: p.sid}} { // a Destroy, a LeaveAll
			if _, written := owner[wider]; written {
				return true
			}
		}
		return shared[p]
	}
}
