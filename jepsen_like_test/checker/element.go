package checker

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// element is one (channel, uid, sid) and all that was done to it. The workload
// uses a uid for one element only.
type element struct {
	channel, uid, sid string

	lives   *lives
	sent    time.Duration // the first operation on it that may have taken effect
	acked   []effect      // by index
	unknown []effect      // may take effect at any time after sent
	refused int
	turns   []uint64 // indexes at which it may become something else, sorted
}

// effect is what a write did, or would do.
type effect struct {
	op    history.Operation
	added bool
	life  *life  // of an add: that, or a later one of the same process; nil: any
	below uint64 // of one of unknown outcome: it took effect below this index, or never will
}

// gather sorts the writes by element.
func gather(ops []history.Operation, lives *lives) (map[string]*element, error) {
	elements := make(map[string]*element)
	for _, op := range ops {
		if op.F != history.Add && op.F != history.Leave {
			continue
		}
		e := elements[op.UID]
		if e == nil {
			e = &element{channel: op.Channel, uid: op.UID, sid: op.SID, lives: lives, sent: history.Forever}
			elements[op.UID] = e
		}
		if e.channel != op.Channel || e.sid != op.SID {
			return nil, fmt.Errorf("operation %d: uid %q is used for two elements", op.Op, op.UID)
		}
		if err := e.add(op); err != nil {
			return nil, err
		}
	}
	for _, e := range elements {
		e.close()
	}
	return elements, nil
}

func (e *element) add(op history.Operation) error {
	f := effect{op: op, added: op.F == history.Add, below: forever}
	if op.Type == history.Fail {
		e.refused++
		return nil
	}
	e.sent = min(e.sent, op.Invoked)
	// A write of unknown outcome that named no life can be for any of them.
	if f.added && (op.Type == history.OK || op.Epoch != 0) {
		var err error
		if f.life, err = e.lives.of(op); err != nil {
			return err
		}
	}
	if op.Type == history.OK {
		e.acked = append(e.acked, f)
	} else {
		e.unknown = append(e.unknown, f)
	}
	return nil
}

// close is for when all writes are there.
func (e *element) close() {
	slices.SortStableFunc(e.acked, func(a, b effect) int { return cmp.Compare(a.op.Index, b.op.Index) })
	for i := range e.unknown {
		// What a process was called for later does not come first.
		u := &e.unknown[i]
		for _, f := range e.acked {
			if u.op.Embedded && f.op.Embedded && f.op.Via == u.op.Via && f.op.Start == u.op.Start && u.op.GaveUp < f.op.Invoked {
				u.below = min(u.below, f.op.Index)
			}
		}
		e.turns = append(e.turns, u.below)
	}
	for _, f := range e.acked {
		e.turns = append(e.turns, f.op.Index)
	}
	for _, l := range e.lives.bySID[e.sid] {
		e.turns = append(e.turns, l.from, l.known+1, l.gone, l.to)
	}
	slices.Sort(e.turns)
	e.turns = slices.Compact(e.turns)
}

// within yields the ranges of indexes from lo to hi, both included, in each of which
// the element is the same.
func (e *element) within(lo, hi uint64, yield func(from, to uint64)) {
	i := sort.Search(len(e.turns), func(i int) bool { return e.turns[i] > lo })
	for ; i < len(e.turns) && e.turns[i] <= hi; i++ {
		yield(lo, e.turns[i]-1)
		lo = e.turns[i]
	}
	yield(lo, hi)
}

// possible is what an element can be.
type possible struct {
	present, absent bool
	last            *effect // the last acknowledged one, which decides if only one of the two is possible
	by              *life   // if both are possible, and only because nobody knows whether this life goes on
}

// at works out what the element can be in the state of an index that was read before
// the time until.
func (e *element) at(index uint64, until time.Duration) possible {
	p := possible{absent: true}
	newest := uint64(0)
	if i := sort.Search(len(e.acked), func(i int) bool { return e.acked[i].op.Index > index }); i > 0 {
		p.last, newest = &e.acked[i-1], e.acked[i-1].op.Index
		if p.last.added {
			p.present, p.absent, p.by = e.shown(p.last.life, index)
			if p.present != p.absent {
				p.by = nil
			}
		}
	}
	for i := range e.unknown {
		switch f := &e.unknown[i]; {
		case f.op.Invoked >= until || f.below <= newest:
		case !f.added:
			p.absent, p.by = true, nil
		default:
			if present, _, _ := e.shown(f.life, index); present {
				p.present, p.by = true, nil
			}
		}
	}
	return p
}

// shown says what reads at an index show of a member of life l, or of any life, and
// which life that follows from.
func (e *element) shown(l *life, index uint64) (present, absent bool, by *life) {
	if l == nil {
		for _, l := range e.lives.bySID[e.sid] {
			if l.from <= index && index < l.to {
				present, absent = l.shows(index)
				return present, absent, l
			}
		}
		return false, true, nil
	}
	for next := e.lives.next(l); next != nil && next.from <= index; next = e.lives.next(l) {
		l = next
	}
	if index < l.from || index >= l.to {
		return false, true, nil
	}
	present, absent = l.shows(index)
	return present, absent, l
}
