package node

import (
	"sync"
	"time"
)

// Bounds of what a frontend remembers of pushes with an id.
const (
	maxRepeats  = 1024
	repeatsTime = time.Minute
)

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
		if old.answer != nil {
			s.settle(*old.answer)
		} else {
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
