package checker

import (
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// judge holds what all reads are judged by.
type judge struct {
	elements map[string]*element
	lives    *lives
	acked    map[string][]*history.Operation // writes, by the server that acknowledged them
	starts   map[string][]time.Duration
	decided  int
	purged   int
}

func newJudge(elements map[string]*element, lives *lives, ops []history.Operation, events []history.Event) *judge {
	j := &judge{elements: elements, lives: lives, acked: make(map[string][]*history.Operation), starts: starts(events)}
	for i := range ops {
		if op := &ops[i]; op.Type == history.OK && op.F != history.Read {
			j.acked[op.Via] = append(j.acked[op.Via], op)
		}
	}
	return j
}

// starts says when a server's processes were started: what one acknowledged, the
// next one need not remember having seen.
func starts(events []history.Event) map[string][]time.Duration {
	at := make(map[string][]time.Duration)
	for _, e := range events {
		if e.F == history.Started {
			at[e.Via] = append(at[e.Via], e.At)
		}
	}
	return at
}

// read judges one acknowledged read.
func (j *judge) read(r history.Operation) (broken []Violation) {
	fail := func(kind Kind, format string, args ...any) {
		broken = append(broken, Violation{kind, r.Op, fmt.Sprintf("%s at %s (index %d): ", r.Channel, r.Via, r.Index) + fmt.Sprintf(format, args...)})
	}
	lo, hi := j.atLeast(r), r.Index
	if hi < lo {
		fail(Behind, "at least index %d was due", lo)
		return broken
	}
	shown := make(map[history.Member]bool, len(r.Members))
	uids := make(map[string]bool, len(r.Members))
	for _, m := range r.Members {
		if shown[m] {
			fail(Duplicate, "%s on %s is listed twice", m.UID, m.SID)
			continue
		}
		shown[m], uids[m.UID] = true, true
		if text := j.phantom(r, m); text != "" {
			fail(Phantom, "%s", text)
		}
	}
	for _, e := range j.elements {
		if !j.asked(r, e) {
			continue
		}
		p := e.at(lo, hi, r.Returned)
		if p.present != p.absent {
			j.decided++
			if p.last != nil && p.last.added && p.absent {
				j.purged++
			}
		}
		switch there := uids[e.uid]; {
		case there && !p.present && len(e.acked)+len(e.unknown) > 0 && e.sent < r.Returned:
			fail(Resurrected, "%s on %s is there; %s", e.uid, e.sid, p.last.why(lo))
		case !there && !p.absent:
			fail(Lost, "%s on %s is missing; %s", e.uid, e.sid, p.last.why(lo))
		}
	}
	return broken
}

// atLeast is the index that the read may not be behind: what it asked for, and
// what the same server process had acknowledged to anybody before.
func (j *judge) atLeast(r history.Operation) uint64 {
	lo := r.MinIndex
	for _, op := range j.acked[r.Via] {
		if op.Returned < r.Invoked && op.Index > lo && j.sameProcess(op, &r) {
			lo = op.Index
		}
	}
	return lo
}

func (j *judge) sameProcess(op, r *history.Operation) bool {
	for _, at := range j.starts[r.Via] {
		if op.Invoked <= at && at <= r.Returned {
			return false
		}
	}
	return true
}

// phantom says why m can't be there whatever took effect; "" if it can.
func (j *judge) phantom(r history.Operation, m history.Member) string {
	e := j.elements[m.UID]
	switch {
	case e == nil:
		return fmt.Sprintf("%q is there, and was never added", m.UID)
	case e.channel != r.Channel || !j.asked(r, e) || (m.SID != "" && m.SID != e.sid):
		return fmt.Sprintf("%q on %q is there; it was added to %s on %s", m.UID, m.SID, e.channel, e.sid)
	case e.sent >= r.Returned && e.refused > 0:
		return fmt.Sprintf("%s is there, but every operation on it was refused", m.UID)
	case e.sent >= r.Returned:
		return fmt.Sprintf("%s is there before it was added", m.UID)
	}
	return ""
}

// asked says whether the read is about the element.
func (j *judge) asked(r history.Operation, e *element) bool {
	return e.channel == r.Channel && (r.SID == "" || r.SID == e.sid) && (r.SType == "" || r.SType == j.lives.stype[e.sid])
}

// why is the write that decided, in words.
func (f *effect) why(lo uint64) string {
	switch {
	case f == nil:
		return "nothing that was acknowledged put it there"
	case f.added && f.life.to <= lo:
		return fmt.Sprintf("operation %d added it for life %d, which is %s", f.op.Op, f.life.epoch, f.life)
	}
	return fmt.Sprintf("operation %d (%s) was acknowledged at index %d", f.op.Op, f.op.F, f.op.Index)
}
