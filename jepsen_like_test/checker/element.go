package checker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// element is one (channel, uid, sid) and all that was done to it. The workload
// uses a uid for one element only.
type element struct {
	channel, uid, sid string

	sent    time.Duration // the first operation on it that may have taken effect
	acked   []effect      // by index
	unknown []effect      // may take effect at any time after sent
	refused int
}

// effect is what a write did, or would do.
type effect struct {
	op    history.Operation
	added bool
	life  life // of an add: the member goes when it ends
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
			e = &element{channel: op.Channel, uid: op.UID, sid: op.SID, sent: history.Forever}
			elements[op.UID] = e
		}
		if e.channel != op.Channel || e.sid != op.SID {
			return nil, fmt.Errorf("operation %d: uid %q is used for two elements", op.Op, op.UID)
		}
		if err := e.add(op, lives); err != nil {
			return nil, err
		}
	}
	for _, e := range elements {
		slices.SortStableFunc(e.acked, func(a, b effect) int { return cmp.Compare(a.op.Index, b.op.Index) })
	}
	return elements, nil
}

func (e *element) add(op history.Operation, lives *lives) error {
	f := effect{op: op, added: op.F == history.Add, life: life{to: forever}}
	if op.Type == history.Fail {
		e.refused++
		return nil
	}
	e.sent = min(e.sent, op.Invoked)
	// A write of unknown outcome that named no life can be for any of them.
	if f.added && (op.Type == history.OK || op.Epoch != 0) {
		var err error
		if f.life, err = lives.of(op); err != nil {
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

// possible is what an element can be.
type possible struct {
	present, absent bool
	last            *effect // what decides if only one of the two is possible
}

// at works out what the element can be in a state whose index is one of lo to hi
// and that was read before the time until.
func (e *element) at(lo, hi uint64, until time.Duration) possible {
	var p possible
	decided := false
	for i := len(e.acked) - 1; i >= 0; i-- {
		f := &e.acked[i]
		if f.op.Index > hi {
			continue
		}
		p.consider(f, lo, hi)
		if f.op.Index <= lo {
			decided, p.last = true, f
			break
		}
	}
	if !decided {
		p.absent = true
	}
	for i := range e.unknown {
		switch f := &e.unknown[i]; {
		case f.op.Invoked >= until:
		case !f.added:
			p.absent = true
		case lo < f.life.to:
			p.present = true
		}
	}
	return p
}

// consider adds the state after f, at an index of lo to hi.
func (p *possible) consider(f *effect, lo, hi uint64) {
	switch {
	case !f.added:
		p.absent = true
	case hi < f.life.to:
		p.present = true
	case lo >= f.life.to:
		p.absent = true
	default:
		p.present, p.absent = true, true
	}
}
