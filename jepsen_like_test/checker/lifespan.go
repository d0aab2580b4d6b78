package checker

import "github.com/pofresh/globalchannel/jepsen_like_test/history"

// How long a life lasted at least, and at most.

// observe takes what was seen of lives that go on, or are over.
func (ls *lives) observe(e history.Event) {
	switch e.F {
	case history.Ended:
		if l := ls.byEpoch[lifeKey{e.SID, e.Epoch}]; l != nil {
			l.over = min(l.over, e.At)
			if e.Index != 0 {
				l.gone = min(l.gone, e.Index)
			}
		}
	case history.Resumed:
		l := ls.byEpoch[lifeKey{e.SID, e.Epoch}]
		l.over = min(l.over, e.At)
	case history.Listed:
		for sid, list := range ls.bySID {
			for _, l := range list {
				switch {
				case e.Lives[sid] == l.epoch:
					l.known = max(l.known, min(e.Index, l.to-1))
				case e.Lives[sid] > l.epoch, e.Lives[sid] == 0 && l.from <= e.Index:
					l.over = min(l.over, e.At)
				}
			}
		}
	}
}

// bound narrows down where lives end.
func (ls *lives) bound(written []history.Operation) {
	for _, list := range ls.bySID {
		for _, l := range list {
			l.known, l.gone = max(l.known, l.from), min(l.gone, l.to)
			if l.over == history.Forever {
				continue
			}
			for _, op := range written {
				if op.Invoked > l.over {
					l.gone = min(l.gone, max(op.Index-1, l.from+1))
				}
			}
		}
	}
	for _, op := range written {
		ls.alive(op.Via, op.Index)
		for _, w := range writes(op) {
			if w.F == history.Add {
				ls.alive(w.SID, op.Index)
			}
		}
	}
	for _, list := range ls.bySID {
		for _, l := range list {
			if !l.ends() {
				l.known = forever - 1
			}
			l.gone = max(l.gone, l.known+1)
		}
	}
}

// alive takes a write's word that a life of sid went on at that index. That it was not
// over by all that others saw is for checkFences to say.
func (ls *lives) alive(sid string, index uint64) {
	for _, l := range ls.bySID[sid] {
		if l.from <= index && index < l.gone {
			l.known = max(l.known, index)
		}
	}
}
