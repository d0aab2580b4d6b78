package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// finding is one difference between the truth and a server's state.
type finding struct {
	servers []string // whose state it is
	pair    pair
	ghost   bool // in the state and must not be; otherwise: missing
	belief  belief
	known   bool // the pair was ever joined or left by anybody
}

// check compares the whole state of one server with the truth. The result is
// sorted: missing ones first.
func (t *truth) check(server string, state map[pair]struct{}) []finding {
	var found []finding
	for p, b := range t.pairs {
		if _, ok := state[p]; !ok && b.must == present {
			found = append(found, finding{servers: []string{server}, pair: p, belief: *b, known: true})
		}
	}
	for p := range state {
		b, known := t.pairs[p]
		switch {
		case !known:
			found = append(found, finding{servers: []string{server}, pair: p, ghost: true})
		case b.must == absent:
			found = append(found, finding{servers: []string{server}, pair: p, ghost: true, belief: *b, known: true})
		}
	}
	slices.SortFunc(found, compareFindings)
	return found
}

func compareFindings(a, b finding) int {
	return cmp.Or(rank(a)-rank(b), cmp.Compare(a.pair.sid, b.pair.sid), cmp.Compare(a.pair.channel, b.pair.channel), cmp.Compare(a.pair.uid, b.pair.uid))
}

func rank(f finding) int {
	if f.ghost {
		return 1
	}
	return 0
}

// String says all that is needed to look for the cause.
func (f finding) String() string {
	what := "missing"
	if f.ghost {
		what = "ghost"
	}
	return fmt.Sprintf("%s on %s: %s of %s in %s (%s)", what, strings.Join(f.servers, ", "), f.pair.uid, f.pair.sid, f.pair.channel, f.because())
}

func (f finding) because() string {
	why := f.belief.why
	switch {
	case !f.known:
		return "nobody ever joined"
	case why.op.Seq == 0 && why.life == 0:
		return "no join was ever acknowledged"
	case why.op.Seq == 0:
		return fmt.Sprintf("its server's life %d ended at %s s, and it did not join again", why.life, clock(why.at))
	}
	return fmt.Sprintf("%s, operation %d of life %d, acknowledged at %s s", why.op.Kind, why.op.Seq, why.life, clock(why.at))
}

// merged joins what several servers have in common: one lost member is one, on
// however many servers it is missing.
func merged(found []finding) []finding {
	type key struct {
		pair
		ghost bool
	}
	places := make(map[key]int)
	var all []finding
	for _, f := range found {
		k := key{f.pair, f.ghost}
		i, ok := places[k]
		if !ok {
			places[k] = len(all)
			all = append(all, f)
			continue
		}
		all[i].servers = append(slices.Clone(all[i].servers), f.servers...)
	}
	slices.SortStableFunc(all, compareFindings)
	return all
}

// split gives the missing ones and the ghosts.
func split(found []finding) (missing, ghosts []finding) {
	for _, f := range found {
		if f.ghost {
			ghosts = append(ghosts, f)
		} else {
			missing = append(missing, f)
		}
	}
	return missing, ghosts
}
