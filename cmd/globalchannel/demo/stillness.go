package demo

import (
	"slices"
	"time"
)

// stillness measures how long writes stood still around one moment: the longest
// stretch without an acknowledgement anywhere in the cluster. Times are of the
// acknowledgements themselves, stamped where they arrived, so that a slow pipe to
// the demo does not count as a standstill. They come from several processes and
// so not in order; they are sorted when asked.
type stillness struct {
	from   time.Duration
	before time.Duration   // the latest acknowledgement up to from
	after  []time.Duration // all since
}

func (s *stillness) add(at time.Duration) {
	if at <= s.from {
		s.before = max(s.before, at)
		return
	}
	s.after = append(s.after, at)
}

// longest is the longest stretch that began before until, and when it began.
func (s *stillness) longest(until time.Duration) (gap, began time.Duration) {
	slices.Sort(s.after)
	last := s.before
	for _, at := range append(slices.Clone(s.after), until) {
		if at > until {
			at = until
		}
		if at-last > gap {
			gap, began = at-last, last
		}
		last = at
	}
	return gap, began
}
