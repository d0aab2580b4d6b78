package state

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestShape_DrawsEachMembershipOnce(t *testing.T) {
	for _, s := range append(heapShapes(), hundred, huge) {
		s := s.scaled(0.001)
		all := s.draw(1)
		if len(all) != s.memberships() {
			t.Errorf("%s: drew %d memberships, want %d", s.Name, len(all), s.memberships())
		}
		seen := make(map[membership]bool)
		cells := make(map[membership]int) // without the player
		for _, m := range all {
			seen[m] = true
			if int(m.channel) >= s.Channels || int(m.sid) >= s.SIDs || int(m.player) >= s.Players {
				t.Errorf("%s: %+v is out of bounds", s.Name, m)
			}
			if s.Sticky && int(m.player)%s.SIDs != int(m.sid) {
				t.Errorf("%s: %+v is not on the player's server", s.Name, m)
			}
			m.player = 0
			cells[m]++
		}
		if len(seen) != len(all) || len(cells) != s.Channels*s.cells() {
			t.Errorf("%s: %d of %d memberships differ, in %d channels and servers", s.Name, len(seen), len(all), len(cells))
		}
		for c, n := range cells {
			if n != s.PerCell {
				t.Errorf("%s: %d members in %+v, want %d", s.Name, n, c, s.PerCell)
			}
		}
	}
}

func TestShape_SizesAreThoseOfTheGoals(t *testing.T) {
	for want, shapes := range map[int][]Shape{
		1_000_000: append(heapShapes(), hundred, onNode), 10_000_000: {small10}, 5_000_000: {huge},
	} {
		for _, s := range shapes {
			if got := s.memberships(); got != want {
				t.Errorf("%s has %d memberships, want %d", s.Name, got, want)
			}
			if full := s.scaled(1); full != s {
				t.Errorf("scaled by 1: got %+v, want %+v", full, s)
			}
		}
	}
}

func TestSampler_DrawsAll(t *testing.T) {
	var s sampler
	random := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		got := slices.Sorted(slices.Values(s.draw(random, 5, 5)))
		if !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
			t.Fatalf("drew %v, want all five", got)
		}
	}
}

func TestNames_AreDifferentAndOfTheirSize(t *testing.T) {
	for _, size := range []int{8, 13, 64} {
		s := small
		s.UIDBytes, s.Channels = size, 3
		n := newNames(s, 2)
		seen := make(map[string]bool)
		for i := range s.Players {
			uid := n.uid(uint32(i))
			if len(uid) != size {
				t.Fatalf("uid %q has %d bytes, want %d", uid, len(uid), size)
			}
			seen[uid] = true
		}
		if len(seen) != s.Players {
			t.Errorf("of %d bytes: %d of %d uids differ", size, len(seen), s.Players)
		}
		if got, want := n.key(4, 9), "guild:000004:connector-09"; got != want {
			t.Errorf("got key %q, want %q", got, want)
		}
	}
}
