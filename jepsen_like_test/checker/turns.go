package checker

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// turn is where a life of a sid ends or begins. It happens once, at one moment that
// nobody saw, within what was observed: that is an operation with an interval like
// any other, in every channel.
type turn struct {
	slot   int
	life   *life
	begins bool
	lost   uint64 // of a beginning: members that do not come back
}

func (t *turn) step(before state, a answer) (possible bool, after state) {
	after = before
	phase, told := before.phases[t.slot], a.index != 0
	switch now := goesOn(t.life.number); {
	case t.begins && phase < goesOn(t.life.number-1), !t.begins && phase < now:
		return false, before // it has not come to that yet
	case t.begins:
		if phase >= now || told && before.last > t.life.from {
			return false, before
		}
		after.phases[t.slot] = now
		after.set &^= t.lost
		if told {
			after.last = max(after.last, t.life.from)
		}
	case phase == now:
		if told && before.last >= t.life.gone {
			return false, before
		}
		after.phases[t.slot] = isOver(t.life.number)
		if told {
			after.last = max(after.last, t.life.known+1)
		}
	} // else it ended with the beginning of the next one
	return true, after
}

func (t *turn) String() string {
	l := t.life
	if !t.begins {
		return fmt.Sprintf("life %d of %s ends, above index %d", l.epoch, l.sid, l.known)
	}
	what := "another process"
	switch {
	case l.resumes():
		what = "the same process, its members are back"
	case l.first < l.number:
		what = "the same process, without its members"
	}
	return fmt.Sprintf("life %d of %s begins (%s)", l.epoch, l.sid, what)
}

// turns are those of a history, and the slots of the sids that they are of.
type turns struct {
	*lives
	slots   map[string]int
	first   state
	windows map[*life]window // of beginnings
	written []history.Operation
	end     int64
}

type window struct{ call, back int64 }

func newTurns(ls *lives, ops []history.Operation, end int64) (*turns, error) {
	ts := &turns{lives: ls, slots: make(map[string]int), windows: make(map[*life]window), written: acknowledged(ops), end: end}
	for _, op := range ops {
		for _, w := range writes(op) {
			for _, sid := range []string{w.SID, op.Via} {
				if err := ts.give(sid); err != nil {
					return nil, err
				}
			}
			if w.SID != "" && len(ls.bySID[w.SID]) == 0 {
				return nil, fmt.Errorf("operation %d: the history shows no life of %s", op.Op, w.SID)
			}
		}
	}
	return ts, nil
}

// give gives a sid a slot if any of its lives ends.
func (ts *turns) give(sid string) error {
	list := ts.bySID[sid]
	if _, has := ts.slots[sid]; has || len(list) == 0 || len(list) == 1 && !list[0].ends() {
		return nil
	}
	slot := len(ts.slots)
	if slot == maxTurning || len(list) > maxLives {
		return fmt.Errorf("%s: more than %d servers whose lives end, or more than %d lives of it: too many to search the orders of", sid, maxTurning, maxLives)
	}
	ts.slots[sid], ts.first.phases[slot] = slot, goesOn(0)
	for _, l := range list[1:] {
		ts.windows[l] = ts.beginning(l)
	}
	return nil
}

// beginning is when a life began: after its process was started and after writes with
// lower indexes were sent; before it was seen, and before writes with higher ones were
// acknowledged.
func (ts *turns) beginning(l *life) window {
	w := window{call: int64(l.began), back: min(int64(l.seen), ts.end)}
	for _, op := range ts.written {
		if op.Index < l.from {
			w.call = max(w.call, int64(op.Invoked))
		} else if op.Index > l.from {
			w.back = min(w.back, int64(op.Returned))
		}
	}
	w.back = max(w.back, w.call)
	return w
}

// ending is when a life ended.
func (ts *turns) ending(l *life) window {
	w := window{back: min(int64(l.over), ts.end)}
	for _, op := range ts.written {
		if op.Index <= l.known {
			w.call = max(w.call, int64(op.Invoked))
		} else if op.Index > l.gone {
			w.back = min(w.back, int64(op.Returned))
		}
	}
	if l.number+1 < len(ts.bySID[l.sid]) {
		w.back = min(w.back, ts.windows[ts.bySID[l.sid][l.number+1]].back)
	}
	w.back = max(w.back, w.call)
	return w
}

// of are all turns of a sid, with its members.
func (ts *turns) of(sid string, slot int, all uint64) (list []*turn) {
	lives := ts.bySID[sid]
	for i, l := range lives {
		if i > 0 {
			begins := &turn{slot: slot, life: l, begins: true}
			if !l.resumes() {
				begins.lost = all
			}
			list = append(list, begins)
		}
		if l.ends() {
			list = append(list, &turn{slot: slot, life: l})
		}
	}
	return list
}

// operation is the turn as porcupine's.
func (ts *turns) operation(t *turn, channel string, row int) porcupine.Operation {
	w := ts.windows[t.life]
	if !t.begins {
		w = ts.ending(t.life)
	}
	return porcupine.Operation{
		ClientId: row, Input: call{channel: channel, turn: t}, Output: answer{index: 1}, Call: w.call, Return: w.back,
	}
}

// anyLife of a sid.
func (ts *turns) anyLife(sid string) row {
	slot, turns := ts.slots[sid]
	if !turns {
		return row{slot: constant, to: math.MaxUint8}
	}
	return row{slot: slot, to: math.MaxUint8}
}

// meant are the lives for which a write that names an epoch is done: that one, and
// later ones of the same process.
func (ts *turns) meant(w history.Write) (row, error) {
	r := ts.anyLife(w.SID)
	if w.Epoch == 0 || w.SID == "" {
		return r, nil
	}
	l := ts.byEpoch[lifeKey{w.SID, w.Epoch}]
	if l == nil {
		return r, fmt.Errorf("the history shows no life %d of %s", w.Epoch, w.SID)
	}
	r.from, r.to = l.number, ts.last(l).number
	return r, nil
}

// writer are the lives of the asked server that a write can be a write of: not of a
// process that was started when its caller had its answer, or had given up. A caller
// inside knows the process.
func (ts *turns) writer(op history.Operation) row {
	r := ts.anyLife(op.Via)
	for _, l := range ts.bySID[op.Via] {
		switch {
		case l.began > 0 && l.began > op.GaveUp:
			r.to = min(r.to, l.number-1)
		case op.Embedded && l.start > 0 && l.start < op.Start:
			r.from = max(r.from, l.number+1)
		case op.Embedded && l.start > op.Start:
			r.to = min(r.to, l.number-1)
		}
	}
	if r.slot == constant {
		r.from, r.to = 0, math.MaxUint8
	}
	return r
}

// after is when a life of a sid beyond the row has begun for sure: what is bound to
// the row has no effect any more.
func (ts *turns) after(sid string, r row) time.Duration {
	if list := ts.bySID[sid]; r.slot != constant && r.to+1 < len(list) {
		return time.Duration(ts.windows[list[r.to+1]].back)
	}
	return time.Duration(ts.end)
}
