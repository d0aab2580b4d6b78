package fsm

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestWays_AreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w ways
		want := map[*channel]bool{}
		all := make([]*channel, 12)
		for i := range all {
			all[i] = newChannel(fmt.Sprint(i))
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			c := rapid.SampledFrom(all).Draw(t, "channel")
			if want[c] {
				w.remove(c)
				delete(want, c)
			} else {
				w.add(c)
				want[c] = true
			}
			seen := 0
			for c := range w.all() {
				if !want[c] {
					t.Fatalf("channel %s is in it, or twice", c.name)
				}
				seen++
			}
			if seen != len(want) || w.empty() != (len(want) == 0) {
				t.Fatalf("%d channels, empty %v, want %d", seen, w.empty(), len(want))
			}
		}
	})
}
