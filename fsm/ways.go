package fsm

import "iter"

// holder is the way back from the players of one sid to their channels.
type holder struct {
	sid     string
	players map[string]ways // by uid
	count   int             // of their memberships
	parked  bool            // the life has ended: no read sees them
}

// ways are the channels that one player is in: most players are in a few, a bot
// may be in all. The uid is the one string for all its memberships on that sid.
type ways struct {
	uid   string
	added uint64      // index of the newest Add for this player on this sid; 0: none since the state keeps it
	few   [4]*channel // nil behind the last
	many  map[*channel]struct{}
}

// add takes a channel that is not in it.
func (w *ways) add(c *channel) {
	if w.many == nil {
		for i := range w.few {
			if w.few[i] == nil {
				w.few[i] = c
				return
			}
		}
		w.many = make(map[*channel]struct{}, 2*len(w.few))
		for i, f := range w.few {
			w.many[f], w.few[i] = struct{}{}, nil
		}
	}
	w.many[c] = struct{}{}
}

// remove takes out a channel that is in it.
func (w *ways) remove(c *channel) {
	if w.many != nil {
		delete(w.many, c)
		return
	}
	at, last := 0, 0
	for i, f := range w.few {
		if f == c {
			at = i
		}
		if f != nil {
			last = i
		}
	}
	w.few[at] = w.few[last]
	w.few[last] = nil
}

func (w *ways) empty() bool { return w.few[0] == nil && len(w.many) == 0 }

// all are the channels in no particular order. What is done with them must not
// depend on it.
func (w *ways) all() iter.Seq[*channel] {
	return func(yield func(*channel) bool) {
		for _, c := range w.few {
			if c != nil && !yield(c) {
				return
			}
		}
		for c := range w.many {
			if !yield(c) {
				return
			}
		}
	}
}
