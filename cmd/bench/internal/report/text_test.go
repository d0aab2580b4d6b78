package report

import (
	"testing"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 999_999.6: "1,000,000", 26_000: "26,000", -752: "-752", -1116: "-1,116"} {
		if got := Thousands(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestRanged(t *testing.T) {
	if got, want := Ranged(stats.Spread{Median: 2, Min: 1, Max: 3000}, Short), "2.00 [1.00..3,000]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Ranged(stats.Spread{Median: 25, Min: 25, Max: 25}, Short), "25.0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
