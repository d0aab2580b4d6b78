package checker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// judge holds what all reads are judged by.
type judge struct {
	elements map[string][]*element // by channel
	byUID    map[string]*element
	lives    *lives
	acked    []*history.Operation // writes
	shown    []shownRead          // judged so far
	starts   map[string][]time.Duration
	decided  int
	purged   int
}

// shownRead is a read that was judged, and the lowest index that explains it.
type shownRead struct {
	*history.Operation
	index uint64
}

func newJudge(elements map[string]*element, lives *lives, ops []history.Operation, events []history.Event) *judge {
	j := &judge{elements: make(map[string][]*element), byUID: elements, lives: lives, starts: starts(events)}
	for _, e := range elements {
		j.elements[e.channel] = append(j.elements[e.channel], e)
	}
	for _, list := range j.elements {
		slices.SortFunc(list, func(a, b *element) int { return cmp.Compare(a.uid, b.uid) })
	}
	for i := range ops {
		if op := &ops[i]; op.Type == history.OK && op.F != history.Read {
			j.acked = append(j.acked, op)
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

// read judges one acknowledged read, after all that were invoked before it.
func (j *judge) read(r history.Operation) (broken []Violation) {
	fail := func(kind Kind, format string, args ...any) {
		broken = append(broken, Violation{kind, r.Op, fmt.Sprintf("%s at %s (index %d): ", r.Channel, r.Via, r.Index) + fmt.Sprintf(format, args...)})
	}
	lo, why := j.atLeast(&r)
	hi := r.Index
	if hi < lo {
		fail(Behind, "at least index %d was due: %s", lo, why)
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
	w := wrong{witnesses: make(map[*life]*witness)}
	for _, e := range j.elements[r.Channel] {
		if !j.asked(r, e) {
			continue
		}
		there := uids[e.uid]
		p := e.over(lo, hi, r.Returned, there, &w)
		if p.present != p.absent {
			j.decided++
			if p.last != nil && p.last.added && p.absent {
				j.purged++
			}
		}
		switch {
		case there && !p.present && len(e.acked)+len(e.unknown) > 0 && e.sent < r.Returned:
			fail(Resurrected, "%s on %s is there; %s; %s", e.uid, e.sid, p.last.why(lo), why)
		case !there && !p.absent:
			fail(Lost, "%s on %s is missing; %s; %s", e.uid, e.sid, p.last.why(lo), why)
		}
	}
	if len(broken) > 0 {
		return broken
	}
	index := w.lowest(lo)
	if index > hi {
		fail(Torn, "each member by itself can be explained, all of them together at no index from %d on: %s", lo, why)
		return broken
	}
	j.shown = append(j.shown, shownRead{&r, index})
	return broken
}

// atLeast is the index that the read may not be behind, by what it asked for.
func (j *judge) atLeast(r *history.Operation) (lo uint64, why due) {
	raise := func(index uint64, by *history.Operation) {
		if index > lo {
			lo, why.by = index, by
		}
	}
	switch {
	case r.Stale:
		why.what = "any prefix will do"
	case r.MinIndex > 0:
		lo, why.what = r.MinIndex, "it was asked for"
	case r.MaxStale > 0:
		why.what = "it was acknowledged long enough before"
		for _, op := range j.acked {
			if op.Returned <= r.Invoked-r.MaxStale {
				raise(op.Index, op)
			}
		}
	case r.Linearizable:
		why.what = "it was acknowledged, or shown, before"
		for _, op := range j.acked {
			if op.Returned < r.Invoked {
				raise(op.Index, op)
			}
		}
		for _, s := range j.shown {
			if s.Returned < r.Invoked {
				raise(s.index, s.Operation)
			}
		}
	default:
		why.what = "this process had acknowledged, or shown, it"
		for _, op := range j.acked {
			if op.Via == r.Via && op.Returned < r.Invoked && op.Index > lo && j.sameProcess(op, r) {
				raise(op.Index, op)
			}
		}
		for _, s := range j.shown {
			if s.Via == r.Via && s.byDefault() && s.Returned < r.Invoked && s.index > lo && j.sameProcess(s.Operation, r) {
				raise(s.index, s.Operation)
			}
		}
	}
	return lo, why
}

// due is why an index was due.
type due struct {
	what string
	by   *history.Operation
}

func (d due) String() string {
	if d.by == nil {
		return d.what
	}
	return fmt.Sprintf("%s (operation %d)", d.what, d.by.Op)
}

// byDefault says that a read asked for nothing in particular.
func (s *shownRead) byDefault() bool {
	return !s.Stale && !s.Linearizable && s.MinIndex == 0 && s.MaxStale == 0
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
	e := j.byUID[m.UID]
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
	case f.added && f.life.known < lo:
		return fmt.Sprintf("operation %d added it for life %d, which is %s", f.op.Op, f.life.epoch, f.life)
	}
	return fmt.Sprintf("operation %d (%s) was acknowledged at index %d", f.op.Op, f.op.F, f.op.Index)
}
