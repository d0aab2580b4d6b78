package cluster

import "time"

// stallAfter: two looks at the clock that are further apart mean that this process
// stood still. Whoever was frozen for a minute and wakes up has heard nothing of
// anybody for a minute, and that says nothing about them.
const stallAfter = 2 * time.Second

// silence judges which lives are over, from what one leader has heard in its term.
// It has no clock and no goroutine; times are of one monotonic clock.
type silence struct {
	began   time.Time // this leader's first committed entry; zero: not yet, nobody is judged
	looked  time.Time // at the clock, last
	resumed time.Time // the end of this process's last stall
}

// look is to be called once a second, and before each judgement: the first one after
// a stall finds it.
func (s *silence) look(now time.Time) {
	if !s.looked.IsZero() && now.Sub(s.looked) > stallAfter {
		s.resumed = now
	}
	s.looked = now
}

// silent says whether nothing was heard of a life for as long as after. Not having
// asked is not silence: a question must have gone out in that time, in vain.
func (s *silence) silent(now time.Time, h hearing, after time.Duration) bool {
	if s.began.IsZero() {
		return false
	}
	since := latest(s.began, s.resumed, h.alive)
	return now.Sub(since) >= after && !h.missed.Before(since)
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// over are the lives to be ended, each agent before those that hang on it (which
// end with it, and so are left out).
func (s *silence) over(now time.Time, after time.Duration, lives []Life, heard func(Life) hearing, gossip []Member) []Life {
	sightings := make(map[string]bool, len(gossip))
	for _, m := range gossip {
		sightings[m.Incarnation] = true
	}
	bySID := make(map[string]Life, len(lives))
	for _, l := range lives {
		bySID[l.SID] = l
	}
	var over []Life
	ending := map[lifeID]bool{}
	judge := func(l Life, process string) {
		h := heard(l)
		// Gossip may be right where our own questions go astray, unless the process
		// itself has said that the life is not there.
		if l.Up && s.silent(now, h, after) && (h.denied || !sightings[process]) {
			over = append(over, l)
			ending[l.id()] = true
		}
	}
	for _, l := range lives {
		if l.Via == "" {
			judge(l, l.Incarnation)
		}
	}
	for _, l := range lives {
		if agent := bySID[l.Via]; l.Via != "" && !ending[lifeID{l.Via, l.ViaEpoch}] {
			judge(l, agent.Incarnation)
		}
	}
	return over
}
