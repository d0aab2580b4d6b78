package node

import (
	"slices"

	"github.com/pofresh/globalchannel/fsm"
)

// ballot is what one configured server says its state hashed to.
type ballot struct {
	nodeID string
	voter  bool
	hash   fsm.StateHash // no Sum: it has not answered, or has none of that index

	answered               bool // it is there, be it without a hash
	distrusted, rebuilding bool // as it says
}

// standing is what comes of the ballots.
type standing uint8

const (
	// standingOpen: too few voters have answered; as far as is known, all is well.
	standingOpen standing = iota
	// standingEqual: a majority of voters holds one state, and nobody another.
	standingEqual
	// standingDiffers: a majority of voters holds one state, and somebody another.
	standingDiffers
	// standingSplit: states differ, and a majority of voters holds none of them.
	standingSplit
)

// judgement is what the states at one index are worth.
type judgement struct {
	standing standing
	right    fsm.StateHash // of standingEqual and standingDiffers
	holders  []string      // node ids of those that hold it
	wrong    []string      // node ids of those that hold another
}

// judge compares states of one index, and only hashes of one form: while a fleet is
// being upgraded there may be several. Right is what a majority of all voters holds,
// those that did not answer counted in. The lists are in the order of the ballots.
func judge(index uint64, ballots []ballot) judgement {
	voters, votes := 0, make(map[fsm.StateHash]int)
	sums := make(map[uint32][]string) // by form, each once
	for _, b := range ballots {
		if b.voter {
			voters++
		}
		if !b.counts(index) {
			continue
		}
		if b.voter {
			votes[b.hash]++
		}
		if s := sums[b.hash.Form]; !slices.Contains(s, b.hash.Sum) {
			sums[b.hash.Form] = append(s, b.hash.Sum)
		}
	}
	for hash, n := range votes { // at most one of them has a majority
		if n > voters/2 {
			return against(index, hash, ballots)
		}
	}
	for _, s := range sums {
		if len(s) > 1 {
			return judgement{standing: standingSplit}
		}
	}
	return judgement{}
}

func (b *ballot) counts(index uint64) bool { return b.hash.Sum != "" && b.hash.Index == index }

// against sorts the servers by what is right.
func against(index uint64, right fsm.StateHash, ballots []ballot) judgement {
	j := judgement{standing: standingEqual, right: right}
	for _, b := range ballots {
		switch {
		case !b.counts(index) || b.hash.Form != right.Form:
		case b.hash == right:
			j.holders = append(j.holders, b.nodeID)
		default:
			j.standing = standingDiffers
			j.wrong = append(j.wrong, b.nodeID)
		}
	}
	return j
}
