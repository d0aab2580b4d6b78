package meter

import "testing"

func TestCircle_GoesThroughAll(t *testing.T) {
	for _, n := range []int{2, 3, 1000} {
		next := circle(n)
		steps := 1
		for at := next[0]; at != 0 && steps <= n; at = next[at] {
			steps++
		}
		if steps != n {
			t.Errorf("of %d: back after %d", n, steps)
		}
	}
}

func TestLoadTime_GrowsBeyondTheCaches(t *testing.T) {
	if near, far := LoadTime(4<<10), LoadTime(64<<20); near <= 0 || far < 2*near {
		t.Errorf("4 KiB: %v ns, 64 MiB: %v ns", near, far)
	}
}
