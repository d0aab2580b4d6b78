package checker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// forever is the end of a life that is not over.
const forever = uint64(math.MaxUint64)

// life is one registered existence of a sid. It begins at index from. Where it ends
// nobody is told: at most at index gone, and above known, where it was still seen.
type life struct {
	sid   string
	epoch uint64
	number,
	first int // among those of its sid; first is that of the first one in its unbroken row of one process

	from, to    uint64 // to: the next one begins there
	known, gone uint64

	process string        // who has it; "": somebody whom nobody else is
	start   int           // which process of the sid that is; 0: not known
	began   time.Duration // when that was started; 0: not known
	seen    time.Duration // it had begun by then
	over    time.Duration // it had ended by then; Forever: nobody saw its end
	emptied bool          // it is of the same process as the one before, and nothing came back
}

// resumes says that members of the life before are this one's, from its beginning on.
func (l *life) resumes() bool { return l.first < l.number && !l.emptied }

// lives are all that the history shows, per sid in the order of their beginning.
type lives struct {
	bySID   map[string][]*life
	byEpoch map[lifeKey]*life
	stype   map[string]string
	starts  map[string][]history.Event // of each server's processes, in their order
	seen    int
	ended   int
	resumed int
}

type lifeKey struct {
	sid   string
	epoch uint64
}

func readLives(events []history.Event, ops []history.Operation) (*lives, error) {
	ls := &lives{
		bySID: make(map[string][]*life), byEpoch: make(map[lifeKey]*life), stype: make(map[string]string),
		starts: make(map[string][]history.Event),
	}
	for i, e := range events {
		if err := ls.note(e); err != nil {
			return nil, fmt.Errorf("event %d: %w: %+v", i+1, err, e)
		}
	}
	for sid, list := range ls.bySID {
		slices.SortFunc(list, func(a, b *life) int { return cmp.Compare(a.from, b.from) })
		for i := 1; i < len(list); i++ {
			if list[i].from == list[i-1].from {
				return nil, fmt.Errorf("lives %d and %d of %s begin at one index", list[i-1].epoch, list[i].epoch, sid)
			}
			list[i-1].to = list[i].from
			ls.ended++
		}
	}
	for _, e := range events {
		ls.observe(e)
	}
	written := acknowledged(ops)
	for sid, list := range ls.bySID {
		if err := ls.row(sid, list, written); err != nil {
			return nil, err
		}
	}
	ls.bound(written)
	return ls, nil
}

// acknowledged are the writes that tell where they took effect.
func acknowledged(ops []history.Operation) []history.Operation {
	return slices.DeleteFunc(slices.Clone(ops), func(op history.Operation) bool {
		return op.Type != history.OK || op.F == history.Read || op.Index == 0
	})
}

// note takes every life that is named.
func (ls *lives) note(e history.Event) error {
	switch e.F {
	case history.Started:
		ls.starts[e.Via] = append(ls.starts[e.Via], e)
	case history.Life:
		if e.SID == "" || e.Epoch == 0 || e.Index == 0 {
			return fmt.Errorf("a life needs sid, epoch and index")
		}
		ls.stype[e.SID] = e.SType
		l := ls.named(e.SID, e.Epoch, e.Index, e.At)
		if l.start = max(l.start, e.Start); e.Incarnation != "" {
			l.process = e.Incarnation
		}
	case history.Listed:
		for sid, epoch := range e.Lives {
			ls.named(sid, epoch, history.RegisteredAt(epoch), e.At)
		}
	case history.Resumed:
		if e.Next == 0 {
			return fmt.Errorf("it is not said which life was next")
		}
		old := ls.named(e.SID, e.Epoch, history.RegisteredAt(e.Epoch), e.At)
		next := ls.named(e.SID, e.Next, history.RegisteredAt(e.Next), e.At)
		if old.process == "" {
			old.process = e.Incarnation
		}
		next.process, next.start, next.emptied = old.process, max(next.start, old.start, e.Start), e.Missed < 0
	}
	return nil
}

func (ls *lives) named(sid string, epoch, index uint64, at time.Duration) *life {
	key := lifeKey{sid, epoch}
	l := ls.byEpoch[key]
	if l == nil {
		l = &life{sid: sid, epoch: epoch, from: index, to: forever, gone: forever, seen: at, over: history.Forever}
		ls.byEpoch[key] = l
		ls.bySID[sid] = append(ls.bySID[sid], l)
		ls.seen++
	}
	l.seen = min(l.seen, at)
	return l
}

// row finds out which lives are of one process. Of one that nobody named a process
// for, that follows from when it began: there runs one at a time.
func (ls *lives) row(sid string, list []*life, written []history.Operation) error {
	starts := ls.starts[sid]
	startOf := make(map[string]int) // by the name of an incarnation
	sure := make([]bool, len(list))
	for i, l := range list {
		if l.start == 0 && len(starts) > 0 {
			l.start, sure[i] = ls.startOf(l, written)
		}
		if l.start > 0 && l.process != "" {
			startOf[l.process] = l.start
		}
	}
	for i, l := range list {
		if l.start == 0 && l.process != "" {
			l.start = startOf[l.process]
		}
		if l.start == 0 && l.process == "" && len(starts) > 0 && !sure[i] {
			return fmt.Errorf("life %d of %s can be of several of its processes: the history needs an observation of it before the next start", l.epoch, sid)
		}
		if l.start > 0 || sure[i] {
			l.process = fmt.Sprint("process ", l.start)
		}
		if 0 < l.start && l.start <= len(starts) {
			l.began = starts[l.start-1].At
		}
		l.number, l.first = i, i
		if i > 0 && l.process != "" && l.process == list[i-1].process {
			l.first = list[i-1].first
			ls.resumed++
		}
	}
	return nil
}

// startOf is the process that a life must be of, if that is sure; 0: one that was
// started before the history began.
func (ls *lives) startOf(l *life, written []history.Operation) (start int, sure bool) {
	least := time.Duration(0) // it began after this
	for _, op := range written {
		if op.Index < l.from {
			least = max(least, op.Invoked)
		}
	}
	for i, e := range ls.starts[l.sid] {
		switch {
		case e.At > l.seen:
			return start, true
		case i > 0 && e.At > least:
			return 0, false
		}
		start = i + 1
	}
	return start, true
}

// of finds the life that a write was for: the one it named, or the one that was
// current where it took effect.
func (ls *lives) of(op history.Operation) (*life, error) {
	for _, l := range ls.bySID[op.SID] {
		if op.Epoch == l.epoch || (op.Epoch == 0 && l.from <= op.Index && op.Index < l.to) {
			return l, nil
		}
	}
	return nil, fmt.Errorf("operation %d: the history shows no life %d of %s (at index %d)", op.Op, op.Epoch, op.SID, op.Index)
}

// next is the life of the same process that took over the members of l; nil: none did.
func (ls *lives) next(l *life) *life {
	list := ls.bySID[l.sid]
	if l.number+1 == len(list) || !list[l.number+1].resumes() {
		return nil
	}
	return list[l.number+1]
}

// last is the newest life in l's row of one process.
func (ls *lives) last(l *life) *life {
	list := ls.bySID[l.sid]
	for l.number+1 < len(list) && list[l.number+1].first == l.first {
		l = list[l.number+1]
	}
	return l
}

// ends says that the history shows an end of the life. Without that it has none.
func (l *life) ends() bool { return l.to != forever || l.over != history.Forever || l.gone != forever }

// shows says what an index that is one of l's, or comes after it and before the next,
// tells of its members.
func (l *life) shows(index uint64) (present, absent bool) {
	return index < l.gone, index > l.known
}
