package checker

import (
	"cmp"
	"slices"
	"time"
)

// An answer is the state at one index. Which one nobody knows, but each element, and
// each life that may be over or not, excludes some.

// indexes are a range, both ends included.
type indexes struct{ from, to uint64 }

// wrong are indexes at which an answer would be wrong.
type wrong struct {
	ranges    []indexes
	witnesses map[*life]*witness
}

// witness is where somebody is shown whose life may be over, and where somebody is
// missing whose life may go on.
type witness struct{ on, over []indexes }

// over is at for a range of indexes. It notes in w where in it the element is not
// there, or is there, as it should not be.
func (e *element) over(lo, hi uint64, until time.Duration, there bool, w *wrong) (p possible) {
	e.within(lo, hi, func(from, to uint64) {
		now := e.at(from, until)
		if from == lo {
			p.last = now.last
		}
		p.present, p.absent = p.present || now.present, p.absent || now.absent
		switch {
		case there && !now.present || !there && !now.absent:
			w.ranges = append(w.ranges, indexes{from, to})
		case now.by != nil:
			w.see(now.by, indexes{from, to}, there)
		}
	})
	return p
}

func (w *wrong) see(l *life, at indexes, on bool) {
	seen := w.witnesses[l]
	if seen == nil {
		seen = new(witness)
		w.witnesses[l] = seen
	}
	if on {
		seen.on = append(seen.on, at)
	} else {
		seen.over = append(seen.over, at)
	}
}

// lowest is the first index from lo on that nothing excludes.
func (w *wrong) lowest(lo uint64) uint64 {
	ranges := w.ranges
	for _, seen := range w.witnesses { // a life takes all its members along
		on, over := merged(seen.on), merged(seen.over)
		for _, a := range on {
			for _, b := range over {
				if from, to := max(a.from, b.from), min(a.to, b.to); from <= to {
					ranges = append(ranges, indexes{from, to})
				}
			}
		}
	}
	for _, r := range merged(ranges) {
		if r.from <= lo && lo <= r.to {
			lo = r.to + 1
		}
	}
	return lo
}

// merged sorts ranges and joins those that overlap.
func merged(ranges []indexes) (out []indexes) {
	slices.SortFunc(ranges, func(a, b indexes) int { return cmp.Compare(a.from, b.from) })
	for _, r := range ranges {
		if n := len(out); n > 0 && r.from <= out[n-1].to+1 {
			out[n-1].to = max(out[n-1].to, r.to)
			continue
		}
		out = append(out, r)
	}
	return out
}
