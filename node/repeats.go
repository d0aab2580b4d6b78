package node

import (
	"sync"
	"time"
)

// Bounds of what a frontend remembers of pushes with an id.
const (
	maxRepeats   = 1024
	repeatsTime  = time.Minute
	maxRepeating = 64 // repetitions that wait for the answer to the first push
)

// repeatsByLife are the repeats of the lives here. A frontend that attaches again in the
// same life finds them again.
type repeatsByLife struct {
	mu   sync.Mutex // guards all below
	byID map[lifeKey]*repeats
}

type lifeKey struct {
	sid   string
	epoch uint64
}

func (r *repeatsByLife) of(sid string, epoch uint64) *repeats {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := lifeKey{sid, epoch}
	ids := r.byID[key]
	if ids == nil {
		for other, ids := range r.byID { // lives come and go, seldom
			if ids.idle() {
				delete(r.byID, other)
			}
		}
		if r.byID == nil {
			r.byID = make(map[lifeKey]*repeats)
		}
		ids = new(repeats)
		r.byID[key] = ids
	}
	return ids
}

// repeats knows the newest pushes with an id of one frontend's life, so that one that is
// pushed again is not handed over again, but answered alike.
type repeats struct {
	mu    sync.Mutex // guards all below
	byID  map[string]*repeat
	order []*repeat // by begun; forgotten ones too
}

type repeat struct {
	ids     *repeats
	id      string
	begun   time.Time
	answer  *delivered // nil: it is under way
	waiting []settler
}

// idle says that there is nothing to remember any more.
func (r *repeats) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.order)
	return n == 0 || time.Since(r.order[n-1].begun) > repeatsTime
}

// begin returns who has to be told what becomes of a push; nil: it is a repetition, and
// s is told what becomes of the first one.
func (r *repeats) begin(id string, s settler) settler {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.order) > 0 && (len(r.order) >= maxRepeats || now.Sub(r.order[0].begun) > repeatsTime) {
		r.forgetLocked(r.order[0])
		r.order = r.order[1:]
	}
	if old := r.byID[id]; old != nil {
		switch {
		case old.answer != nil:
			s.settle(*old.answer)
		case len(old.waiting) > maxRepeating:
			s.settle(delivered{outcome: Unknown, reason: "a push with this id is under way, and many wait for its answer"})
		default:
			old.waiting = append(old.waiting, s)
		}
		return nil
	}
	if r.byID == nil {
		r.byID = make(map[string]*repeat)
	}
	p := &repeat{ids: r, id: id, begun: now, waiting: []settler{s}}
	r.byID[id] = p
	r.order = append(r.order, p)
	return p
}

func (r *repeats) forgetLocked(p *repeat) {
	if r.byID[p.id] == p {
		delete(r.byID, p.id)
	}
}

// settle implements settler. What reached nobody may be pushed again.
func (p *repeat) settle(d delivered) {
	p.ids.mu.Lock()
	waiting := p.waiting
	p.waiting = nil
	p.answer = &d
	if d.outcome == NotDelivered {
		p.ids.forgetLocked(p)
	}
	p.ids.mu.Unlock()
	for _, s := range waiting {
		s.settle(d)
	}
}
