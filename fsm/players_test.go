package fsm

import (
	"hash/maphash"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// From a player in nothing over one with a few ways to a bot that is in everything, and
// back, on sids and at indexes that fit into a block and on those that do not.
func TestPlayers_WaysAreASetForEachSID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type way struct{ sid, channel uint32 }
		var texts, ways compact.Slab
		p := &players{texts: compact.NewTexts(&texts, maphash.MakeSeed()), mem: &ways}
		id := p.texts.Add(7, []byte("bot"))
		want, added := map[way]bool{}, map[uint32]uint64{}
		on := func(sid uint32) (channels []uint32) {
			for w := range want {
				if w.sid == sid {
					channels = append(channels, w.channel)
				}
			}
			slices.Sort(channels)
			return channels
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			sid := rapid.SampledFrom([]uint32{1, 2, 1<<sidBits - 1, 1 << sidBits}).Draw(t, "sid")
			at := rapid.SampledFrom([]uint64{5, 1<<addedBits - 1, 1 << addedBits}).Draw(t, "added")
			from, n := rapid.Uint32Range(1, 300).Draw(t, "from"), rapid.SampledFrom([]uint32{1, 3, 140, 1200}).Draw(t, "n")
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0, 1:
				for c := from; c < from+n; c++ {
					if w := (way{sid, c}); !want[w] {
						p.link(id, sid, c, at)
						want[w], added[sid] = true, at
					}
				}
			case 2, 3:
				for c := from; c < from+n; c++ {
					if w := (way{sid, c}); p.unlink(id, sid, c) != want[w] {
						t.Fatalf("unlink %v: want %v", w, want[w])
					}
					delete(want, way{sid, c})
				}
			case 4:
				if len(on(sid)) > 0 {
					p.stamp(id, sid, at)
					added[sid] = at
				}
			}
			seen := 0
			for s := range p.stays(id) {
				got := slices.Sorted(slices.Values(s.channels))
				if !slices.Equal(got, on(s.sid)) || s.added != added[s.sid] {
					t.Fatalf("sid %d: %d channels added at %d, want %d at %d", s.sid, len(got), s.added, len(on(s.sid)), added[s.sid])
				}
				if one, ok := p.stay(id, s.sid); !ok || len(one.channels) != len(got) || one.added != s.added {
					t.Fatalf("sid %d asked for alone: %v", s.sid, ok)
				}
				seen += len(got)
			}
			if seen != len(want) || p.idle(id) != (seen == 0) {
				t.Fatalf("%d ways, want %d; idle: %v", seen, len(want), p.idle(id))
			}
		}
	})
}
