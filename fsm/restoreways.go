package fsm

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// buildWays builds the ways back of a shard's players from what the workers found in
// the channels, and checks that these are what the players' section says.
func (r *restorer) buildWays(shard int) error {
	p, players := r.state.players[shard], &r.players[shard]
	starts := make([]uint32, len(players.ends)+2) // by local id, which begins at 1
	for _, w := range r.workers {
		for _, way := range w.ways[shard] {
			starts[way.local]++
		}
	}
	total := uint32(0)
	for i, n := range starts {
		starts[i] = total
		total += n
	}
	ways := make([]way, total)
	next := slices.Clone(starts)
	for _, w := range r.workers {
		for _, way := range w.ways[shard] {
			ways[next[way.local]] = way
			next[way.local]++
		}
		w.ways[shard] = nil
	}
	from := uint32(0)
	for i, end := range players.ends {
		local := uint32(i) + 1
		if err := p.build(local, players.pairs[from:end], ways[starts[local]:next[local]]); err != nil {
			return err
		}
		from = end
	}
	*players = restoredPlayers{ends: players.ends}
	return nil
}

// build gives a player who has none its ways.
func (p *players) build(local uint32, pairs []snapfile.Pair, ways []way) error {
	slices.SortFunc(ways, func(a, b way) int { return cmp.Or(cmp.Compare(a.sid, b.sid), cmp.Compare(a.channel, b.channel)) })
	words := 1 + stayHead*len(pairs) + len(ways)
	if words > compact.MaxBlock || !allFit(pairs, len(ways)) {
		return p.buildCrowd(local, pairs, ways)
	}
	b := p.begin(local, words)
	at := 1
	for _, pair := range pairs {
		own := 0
		for own < len(ways) && ways[own].sid == pair.SID+1 {
			b[at+stayHead+own] = ways[own].channel
			own++
		}
		if own == 0 {
			return fmt.Errorf("%w: uid %q is on a sid, but in no channel there", ErrMalformed, p.texts.Text(local))
		}
		setHead(b, at, pair.SID+1, pair.Added, own)
		at, ways = at+stayHead+own, ways[own:]
	}
	if len(ways) > 0 {
		return fmt.Errorf("%w: uid %q is in a channel of a sid that it is not on", ErrMalformed, p.texts.Text(local))
	}
	return nil
}

// allFit is on the safe side: the ways may be of several sids.
func allFit(pairs []snapfile.Pair, ways int) bool {
	for _, pair := range pairs {
		if !fits(pair.SID+1, pair.Added, ways) {
			return false
		}
	}
	return true
}

func (p *players) buildCrowd(local uint32, pairs []snapfile.Pair, ways []way) error {
	for _, pair := range pairs {
		own := 0
		for own < len(ways) && ways[own].sid == pair.SID+1 {
			p.link(local, pair.SID+1, ways[own].channel, pair.Added)
			own++
		}
		if own == 0 {
			return fmt.Errorf("%w: uid %q is on a sid, but in no channel there", ErrMalformed, p.texts.Text(local))
		}
		ways = ways[own:]
	}
	if len(ways) > 0 {
		return fmt.Errorf("%w: uid %q is in a channel of a sid that it is not on", ErrMalformed, p.texts.Text(local))
	}
	return nil
}
