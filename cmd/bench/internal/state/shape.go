package state

import "math/rand/v2"

// Shape says how many players are in how many channels on how many servers.
type Shape struct {
	Name     string
	Channels int
	SIDs     int
	Cells    int // servers that a channel has members on; 0: all
	PerCell  int // members of a channel on one server
	Players  int
	UIDBytes int
	Sticky   bool // a player is on one server only, as in a game; else on any, drawn anew for each channel and server
	Sessions bool // each membership has one
}

const uidBytes = 13

// The shapes of the project's goals, and what they are multiplied to.
var (
	small   = Shape{Name: "small", Channels: 10_000, SIDs: 10, PerCell: 10, Players: 200_000, UIDBytes: uidBytes}
	large   = Shape{Name: "large", Channels: 100, SIDs: 10, PerCell: 1000, Players: 200_000, UIDBytes: uidBytes}
	hundred = Shape{Name: "hundred", Channels: 1000, SIDs: 10, PerCell: 100, Players: 200_000, UIDBytes: uidBytes}
	small10 = Shape{Name: "small10", Channels: 100_000, SIDs: 10, PerCell: 10, Players: 2_000_000, UIDBytes: uidBytes}
	huge    = Shape{Name: "huge", Channels: 1, SIDs: 10, PerCell: 500_000, Players: 5_000_000, UIDBytes: uidBytes, Sticky: true}
)

// bothSizes are those of a large game and of one ten times as large.
var bothSizes = []struct {
	size  string
	shape Shape
}{{"1m", small}, {"10m", small10}}

// heapShapes are those that memory is measured with.
func heapShapes() []Shape {
	like := func(s Shape, name string, change func(*Shape)) Shape {
		s.Name = name
		change(&s)
		return s
	}
	return []Shape{
		small, large,
		like(small, "small_sticky", func(s *Shape) { s.Sticky = true }),
		like(large, "large_sticky", func(s *Shape) { s.Sticky = true }),
		{Name: "private", Channels: 500_000, SIDs: 10, Cells: 2, PerCell: 1, Players: 200_000, UIDBytes: uidBytes, Sticky: true},
		{Name: "world", Channels: 1, SIDs: 100, PerCell: 10_000, Players: 1_000_000, UIDBytes: uidBytes, Sticky: true},
		like(small, "small_uid8", func(s *Shape) { s.UIDBytes = 8 }),
		like(small, "small_uid64", func(s *Shape) { s.UIDBytes = 64 }),
		like(small, "small_sessions", func(s *Shape) { s.Sessions = true }),
	}
}

// scaled is a smaller state of the same kind: fewer channels, or where there is only
// one, fewer members in it.
func (s Shape) scaled(by float64) Shape {
	times := func(n int) int { return max(int(float64(n)*by), 1) }
	if s.Channels > 1 {
		s.Channels = times(s.Channels)
	} else {
		s.PerCell = times(s.PerCell)
	}
	s.Players = max(times(s.Players)/s.SIDs, s.PerCell) * s.SIDs // enough for a cell, and the same number for each server
	return s
}

func (s Shape) cells() int {
	if s.Cells > 0 {
		return s.Cells
	}
	return s.SIDs
}

func (s Shape) memberships() int { return s.Channels * s.cells() * s.PerCell }

// membership has numbers for names, and no pointers: ten million of them cost the
// garbage collector nothing.
type membership struct {
	channel, player uint32
	sid             uint16
}

// population is how many players may be on one server.
func (s Shape) population() int {
	if s.Sticky {
		return s.Players / s.SIDs
	}
	return s.Players
}

// player is the i-th of those that may be on a server.
func (s Shape) player(sid, i int) uint32 {
	if s.Sticky {
		return uint32(i*s.SIDs + sid)
	}
	return uint32(i)
}

// draw gives all memberships in random order, the same ones for the same seed: a
// state does not grow channel by channel.
func (s Shape) draw(seed uint64) []membership {
	random := rand.New(rand.NewPCG(seed, 1))
	all := make([]membership, 0, s.memberships())
	var sids, players sampler
	for channel := range s.Channels {
		for _, sid := range sids.draw(random, s.cells(), s.SIDs) {
			for _, i := range players.draw(random, s.PerCell, s.population()) {
				all = append(all, membership{channel: uint32(channel), player: s.player(sid, i), sid: uint16(sid)})
			}
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// any is a random membership, mostly one that is not there.
func (s Shape) any(random *rand.Rand) membership {
	sid := random.IntN(s.SIDs)
	return membership{
		channel: uint32(random.IntN(s.Channels)), player: s.player(sid, random.IntN(s.population())), sid: uint16(sid),
	}
}

// sampler draws without repetition; its memory is used again.
type sampler struct {
	drawn []int
	seen  map[int]struct{}
}

// draw gives k different numbers below n, valid until the next draw: R. Floyd's way,
// which draws k times even if k is n (Bentley, Communications of the ACM 30/9).
func (s *sampler) draw(random *rand.Rand, k, n int) []int {
	if s.seen == nil {
		s.seen = make(map[int]struct{}, k)
	}
	clear(s.seen)
	s.drawn = s.drawn[:0]
	for last := n - k; last < n; last++ {
		i := random.IntN(last + 1)
		if _, again := s.seen[i]; again {
			i = last
		}
		s.seen[i] = struct{}{}
		s.drawn = append(s.drawn, i)
	}
	return s.drawn
}
