package cluster

import "time"

// CaughtUp is how many entries a server may lack and still be given a vote, or
// leadership: what a busy leader writes between two looks, and Raft brings along
// within an election timeout.
const CaughtUp = 128

const (
	tallyPace = time.Second
	// Three good answers, so at least two seconds: a server that has just come, or
	// comes and goes, would be a voter that is away. Longer would not fit into the
	// Close of a server in memory, which waits for its successor.
	stableAnswers = 3
	// Heartbeats come seven times as often as that.
	upFor = 3 * time.Second
	// A vote is another's after this. Most restarts are through by then, and a pause
	// of a second or ten is none of them; a second failure meanwhile is what it costs
	// to wait.
	lostAfter = 30 * time.Second
	// A server whose sid another one has is not waited for, once it is silent.
	replacedAfter = 5 * time.Second
	// This node stood still itself if it looks as late as that.
	stalledFor = 2 * time.Second
	// A server that this leader has known for less may not have been asked yet.
	freshFor = 3 * time.Second
)

// tally turns what this leader hears of the servers into standings. It dies with
// the term, as all it has heard does.
type tally struct {
	self        string
	removeAfter time.Duration

	floor   time.Time // silence counts from here: the term's beginning, or the end of a stall of this node
	looked  time.Time // the last time
	last    uint64    // this node's last index then
	records map[string]*record
}

// record is what a tally keeps of one server.
type record struct {
	since time.Time // the first look at it
	seen  time.Time // by anybody: Raft, the roll call, gossip
	heard time.Time // the newest answer that was judged
	good  int       // answers in a row that were good
}

// sighting is all that is known of one server at one moment.
type sighting struct {
	Server
	answer   Answer    // the newest of this term; At is zero if there is none
	contact  time.Time // when Raft last heard of it
	gossiped bool      // gossip lists it as alive
	replaced bool      // another node has its sid, and is in the configuration
	yields   bool
	leaves   bool
}

func newTally(self string) *tally {
	return &tally{self: self, records: make(map[string]*record)}
}

// look takes what is known now, and this node's own last index and term.
func (t *tally) look(now time.Time, last, term uint64, sightings []sighting) []standing {
	if t.looked.IsZero() {
		t.floor, t.last = now, last
	} else if now.Sub(t.looked) > tallyPace+stalledFor {
		t.floor = now // what came in meanwhile has not been read yet
	}
	known := make(map[string]*record, len(sightings))
	standings := make([]standing, len(sightings))
	for i, s := range sightings {
		r := t.records[s.NodeID]
		if r == nil {
			r = &record{since: now, seen: t.floor}
		}
		known[s.NodeID] = r
		t.judge(r, now, term, s)
		standings[i] = t.standing(r, now, s)
	}
	t.records, t.looked, t.last = known, now, last
	return standings
}

func (t *tally) judge(r *record, now time.Time, term uint64, s sighting) {
	r.seen = latest(r.seen, t.floor, s.contact, s.answer.At)
	if s.gossiped {
		r.seen = now
	}
	switch {
	case s.answer.At.After(r.heard):
		r.heard = s.answer.At
		r.good++
		// An entry of an older term there may be one that was never committed.
		if !s.answer.MayLead || s.answer.LastTerm != term || s.answer.LastIndex+CaughtUp < t.last {
			r.good = 0
		}
	case now.Sub(s.answer.At) > upFor:
		r.good = 0
	}
}

func (t *tally) standing(r *record, now time.Time, s sighting) standing {
	self := s.NodeID == t.self
	// That its sid is another's was decided on proof: gossip, which takes its time to
	// miss somebody, says nothing against it.
	unheard := now.Sub(latest(s.contact, s.answer.At, t.floor))
	up := self || now.Sub(s.contact) <= upFor
	return standing{
		Server: s.Server, zone: s.answer.Zone, durable: s.answer.Durable, diskless: !s.answer.At.IsZero() && !s.answer.Durable, nonVoter: s.answer.NonVoter,
		leads: self, up: up, ready: up && r.good >= stableAnswers,
		lost:   !self && now.Sub(latest(s.contact, t.floor)) > lostAfter,
		gone:   !self && (now.Sub(r.seen) > t.removeAfter || s.replaced && unheard > replacedAfter),
		fresh:  now.Sub(r.since) < freshFor,
		yields: s.yields, leaves: s.leaves,
	}
}
