package cluster

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	defaultVoters = 5
	leastVoters   = 3
)

// standing is what is known of one server of the configuration when votes are
// given and taken.
type standing struct {
	Server
	zone     string
	durable  bool // has a data directory
	diskless bool // has said that it has none: of one that is silent neither is known
	nonVoter bool // never wants a vote
	leads    bool // this very node

	up    bool // Raft hears of it: it counts for a quorum
	ready bool // caught up, several times in a row, and fit to lead: may be given a vote
	lost  bool // Raft has not heard of it for so long that its vote should be another's
	gone  bool // it will not come back: silent for RemoveAfter, or another node has its sid
	fresh bool // this leader has known it for too short a time to say that it does not answer

	yields bool // it asked to be no voter
	leaves bool // it asked to be taken out of the configuration
}

// electorate decides who votes. It knows no clock and changes nothing: next says
// what the one next change is. Its rules:
//
//   - No more than most voters, never fewer than least by its doing, and the voters
//     that are up are a quorum after each change as well. Where the dead one's seat
//     cannot be emptied first (that would leave fewer than least), its successor is
//     one too many for the moment between two changes.
//   - An even number tolerates no more failures than the odd one below, and each
//     write goes to one more: it only grows by two, or from even to odd. Of 4
//     servers 3 vote, of 2 one does. It does not shrink for that: a server that
//     restarts would cost the vote of another.
//   - A vote that is merely lost stays until there is somebody to take it: two sides
//     of a partition must not count themselves down to a quorum of their own. Out of
//     an even number it goes, which only helps.
//   - Servers without a disk vote among themselves, or not at all. Where founders are
//     mixed, each gives its vote to one with a disk when there is one to take it.
//   - Who votes goes on voting: a server that comes back is a candidate like others.
type electorate struct {
	servers     []standing
	least, most int
}

type moveKind uint8

const (
	stay     moveKind = iota
	promote           // give the server a vote
	demote            // take its vote
	expel             // out of the configuration
	handOver          // this node leads, and is the one whose vote is to go: somebody else must do it
)

func (k moveKind) String() string {
	return [...]string{"stay", "promote", "demote", "remove", "hand over"}[k]
}

// move is one change of the configuration, and why.
type move struct {
	kind   moveKind
	server Server
	why    string
}

// next is the next change, or stay.
func (e electorate) next() move {
	voters, others := e.split()
	if !e.quorum(len(voters), alive(voters)) {
		return move{why: "too few voters answer"}
	}
	for _, s := range others {
		if why := s.leaving(); why != "" {
			return move{expel, s.Server, why}
		}
	}
	unwanted := e.unwanted(voters, others)
	candidates := e.candidates(voters, others, func(s standing) bool { return s.ready })
	for _, u := range unwanted {
		if e.droppable(u, voters, len(candidates) > 0) {
			return u.drop()
		}
	}
	return e.fill(voters, unwanted, candidates)
}

func (e electorate) split() (voters, others []standing) {
	for _, s := range e.servers {
		if s.Voter {
			voters = append(voters, s)
		} else {
			others = append(others, s)
		}
	}
	return voters, others
}

func (e electorate) quorum(voters, up int) bool { return up > voters/2 }

func alive(voters []standing) (n int) {
	for _, v := range voters {
		if v.up {
			n++
		}
	}
	return n
}

// leaving says why a server goes out of the configuration, "" if it does not.
func (s standing) leaving() string {
	switch {
	case s.gone:
		return "it will not come back"
	case s.leaves:
		return "it leaves the cluster"
	default:
		return ""
	}
}

// unfit is a voter whose vote should go, and why.
type unfit struct {
	standing
	why  string
	rank int // the smaller, the sooner
}

func (c unfit) drop() move {
	switch {
	case c.leads:
		return move{handOver, c.Server, c.why}
	case c.leaving() != "":
		return move{expel, c.Server, c.why}
	default:
		return move{demote, c.Server, c.why}
	}
}

// Ranks of those whose vote should go. Up to rankAsked it may go without a
// successor, as long as enough are left.
const (
	rankGone = iota
	rankAsked
	rankLost
	rankDiskless
	rankSurplus
)

// unwanted are the voters that should not be ones, the most urgent first; of
// equals, those of the zone with the most voters.
func (e electorate) unwanted(voters, others []standing) []unfit {
	disks := anyDurable(voters) || anyDurable(slices.DeleteFunc(slices.Clone(others), func(s standing) bool { return !e.eligible(s) || !s.ready }))
	var all []unfit
	for _, v := range voters {
		switch {
		case v.gone:
			all = append(all, unfit{v, v.leaving(), rankGone})
		case v.lost:
			all = append(all, unfit{v, "nothing was heard of it for long", rankLost})
		case v.leaves:
			all = append(all, unfit{v, v.leaving(), rankAsked})
		case v.yields:
			all = append(all, unfit{v, "it gives its vote back", rankAsked})
		case v.nonVoter:
			all = append(all, unfit{v, "it is not to vote", rankAsked})
		case disks && v.diskless:
			all = append(all, unfit{v, "it has no disk, others have", rankDiskless})
		case len(voters) > e.most:
			all = append(all, unfit{v, "there are too many voters", rankSurplus})
		}
	}
	crowd := crowds(voters)
	slices.SortFunc(all, func(a, b unfit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), compareBool(a.leads, b.leads),
			cmp.Compare(crowd[b.zone], crowd[a.zone]), cmp.Compare(b.NodeID, a.NodeID))
	})
	return all
}

// droppable tells whether the vote may go now.
func (e electorate) droppable(u unfit, voters []standing, successor bool) bool {
	total, up := len(voters), alive(voters)
	if u.up {
		up--
	}
	switch {
	case total-1 < max(e.least, 1), !e.quorum(total-1, up):
		return false
	case u.rank == rankLost && total%2 == 0 && total < e.most && successor:
		return false // nothing is gained by going down and up again
	case u.rank <= rankAsked, total%2 == 0, total > e.most:
		return true
	case u.rank == rankDiskless && durable(voters) >= e.least:
		return true
	default:
		return total == e.most && successor // its seat first, then the successor takes it
	}
}

// fill gives a vote to the best candidate, if one more is wanted.
func (e electorate) fill(voters []standing, unwanted []unfit, candidates []standing) move {
	total, wanted := len(voters), 1
	limit := e.most
	switch {
	case len(unwanted) > 0:
		limit = e.most + 1
	case total%2 == 1:
		wanted = 2
	}
	if len(candidates) < wanted || total+wanted > limit || !e.quorum(total+1, alive(voters)+1) {
		return move{}
	}
	crowd := crowds(slices.DeleteFunc(slices.Clone(voters), func(v standing) bool {
		return slices.ContainsFunc(unwanted, func(u unfit) bool { return u.NodeID == v.NodeID })
	}))
	best := slices.MinFunc(candidates, func(a, b standing) int {
		return cmp.Or(cmp.Compare(crowd[a.zone], crowd[b.zone]), cmp.Compare(a.NodeID, b.NodeID))
	})
	return move{promote, best.Server, "it is caught up and stable"}
}

// candidates are those of the others who may vote and for whom fit holds: with a
// disk if any has one, without one only where no voter has one.
func (e electorate) candidates(voters, others []standing, fit func(standing) bool) []standing {
	all := slices.DeleteFunc(slices.Clone(others), func(s standing) bool { return !e.eligible(s) || !fit(s) })
	if anyDurable(all) || anyDurable(voters) {
		all = slices.DeleteFunc(all, func(s standing) bool { return !s.durable })
	}
	return all
}

func (e electorate) eligible(s standing) bool {
	return s.up && !s.nonVoter && !s.yields && s.leaving() == ""
}

// obstacle says why the vote of a server that asks to be rid of it, or its place,
// is still there. final: asking again will not help, as things are.
func (e electorate) obstacle(nodeID string) (why string, final bool) {
	voters, others := e.split()
	i := slices.IndexFunc(voters, func(v standing) bool { return v.NodeID == nodeID })
	after := len(voters) - 1
	switch {
	case i < 0:
		return "it is about to be removed", false
	case after >= max(e.least, 1):
		return "its vote is about to be taken back", false
	}
	next := e.candidates(voters, others, func(standing) bool { return true })
	next = append(next, slices.DeleteFunc(others, func(s standing) bool { return !s.fresh || s.nonVoter })...)
	if len(next) > 0 {
		return fmt.Sprintf("its vote waits for a successor: %s is not caught up and stable yet, or about to be promoted", next[0].NodeID), false
	}
	if !e.quorum(len(voters), alive(voters)) {
		return "too few voters answer", false
	}
	if after == 0 {
		return "it is the last voter, and no other server can take its vote", true
	}
	return fmt.Sprintf("no other server can take its vote, and %d voters would be left, of at least %d", after, e.least), true
}

func durable(servers []standing) (n int) {
	for _, s := range servers {
		if s.durable {
			n++
		}
	}
	return n
}

func anyDurable(servers []standing) bool { return durable(servers) > 0 }

// crowds counts servers by zone.
func crowds(servers []standing) map[string]int {
	n := make(map[string]int)
	for _, s := range servers {
		n[s.zone]++
	}
	return n
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
