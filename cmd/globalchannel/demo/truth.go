package demo

import (
	"fmt"
	"slices"
	"time"
)

// pair is one membership: a player of a server in a channel.
type pair struct{ channel, uid, sid string }

// truth is what must hold, as far as the players were told. It knows nothing of
// the nodes' state: it is written from acknowledgements alone.
type truth struct {
	pairs map[pair]*belief
	lives map[string]*life // by sid, the current one
	tally tally
}

// tally counts operations by what their callers were told.
type tally struct{ acknowledged, rejected, notSent, unknown int }

// life is one existence of a server, as the demo counts them.
type life struct {
	number int
	seq    uint64 // of the last operation it reported
}

// belief is what is known of one pair.
type belief struct {
	must must
	why  fact // what decided it last
}

type must uint8

const (
	absent must = iota
	present
	undecided
)

// fact is an acknowledged operation, or the end of the life that held the pair.
type fact struct {
	op   operation // Seq 0: the end of a life
	life int
	at   time.Duration
}

func newTruth() *truth {
	return &truth{pairs: make(map[pair]*belief), lives: make(map[string]*life)}
}

// begin starts a new life of sid. Whatever players of an earlier life joined has
// ended with it: nobody carries over, and an operation that was in flight at the
// kill is either purged with its life or comes too late and is refused.
func (t *truth) begin(sid string, at time.Duration) {
	number := 1
	if l := t.lives[sid]; l != nil {
		number = l.number + 1
	}
	t.lives[sid] = &life{number: number}
	for p, b := range t.pairs {
		if p.sid == sid {
			*b = belief{must: absent, why: fact{life: number - 1, at: at}}
		}
	}
}

// record takes in one operation of the current life of sid. Its numbers must have
// no gap: a report lost on the way would make the truth a lie.
func (t *truth) record(sid string, op operation) error {
	l := t.lives[sid]
	if l == nil || op.Seq != l.seq+1 {
		return fmt.Errorf("record operation %d of %s: the one before is missing, the report is not whole", op.Seq, sid)
	}
	l.seq = op.Seq
	p := pair{op.Channel, op.UID, sid}
	switch op.Outcome {
	case acknowledged:
		t.tally.acknowledged++
		b := belief{must: absent, why: fact{op: op, life: l.number, at: op.At}}
		if op.Kind == join {
			b.must = present
		}
		t.pairs[p] = &b
	case unknown:
		t.tally.unknown++
		t.doubt(p, op)
	case rejected:
		t.tally.rejected++
	case notSent:
		t.tally.notSent++
	default:
		return fmt.Errorf("record operation %d of %s: unknown outcome %q", op.Seq, sid, op.Outcome)
	}
	return nil
}

// doubt leaves a pair undecided, unless the operation, had it taken effect, would
// have changed nothing. Later operations of the same process take effect later
// too, so the next acknowledged one settles it.
func (t *truth) doubt(p pair, op operation) {
	b := t.pairs[p]
	if b == nil {
		b = &belief{}
		t.pairs[p] = b
	}
	if (b.must == present && op.Kind == join) || (b.must == absent && op.Kind == leave) {
		return
	}
	b.must = undecided
}

// complete says whether all ops of the current life of sid were recorded.
func (t *truth) complete(sid string, ops uint64) error {
	if l := t.lives[sid]; l == nil || l.seq != ops {
		return fmt.Errorf("settle %s: it reported %d operations, not all of them arrived", sid, ops)
	}
	return nil
}

// channels are all that were ever named, sorted.
func (t *truth) channels() []string {
	seen := make(map[string]struct{})
	for p := range t.pairs {
		seen[p.channel] = struct{}{}
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// decided counts the pairs that can be checked, and those that cannot.
func (t *truth) decided() (here, gone, open int) {
	for _, b := range t.pairs {
		switch b.must {
		case present:
			here++
		case absent:
			gone++
		case undecided:
			open++
		}
	}
	return here, gone, open
}
