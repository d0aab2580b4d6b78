package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogram_IsWithinOnePercent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []float64
	for i := range 50_000 {
		d := time.Duration(math.Exp(random.Float64() * 25)) // 1 ns to 72 s
		h.Record(i, d)
		all = append(all, float64(d))
	}
	if got, want := h.Count(), uint64(len(all)); got != want {
		t.Errorf("count: got %d, want %d", got, want)
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		got, want := float64(h.Quantile(q)), Quantile(all, q)
		if math.Abs(got-want) > 0.01*want+0.5 {
			t.Errorf("quantile %v: got %v, want %v within 1 %%", q, got, want)
		}
	}
}

func TestHistogram_BucketsFollowOneAnother(t *testing.T) {
	last := -1
	for _, d := range []time.Duration{-1, 1, 63, 64, 65, 127, 128, 130, 255, 256, 1e3, 1e6, 1e9, 1e12} {
		b := bucket(d)
		if b <= last {
			t.Errorf("bucket of %d: got %d, want above %d", d, b, last)
		}
		last = b
		if back := bucket(middle(b)); back != b {
			t.Errorf("middle of bucket %d is %v, which is in bucket %d", b, middle(b), back)
		}
	}
	if got, want := bucket(math.MaxInt64), buckets-1; got != want {
		t.Errorf("bucket of the longest duration: got %d, want the last, %d", got, want)
	}
}

func TestHistogram_EmptyHasNoQuantile(t *testing.T) {
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("got %v, want 0", got)
	}
}

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{5, 1, 3}, Spread{3, 1, 5}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	} {
		before := slices.Clone(c.values)
		if got := SpreadOf(c.values...); got != c.want {
			t.Errorf("spread of %v: got %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("the caller's values were changed: got %v, want %v", c.values, before)
		}
	}
}

func TestQuantile_IsTheNearestRank(t *testing.T) {
	values := []float64{40, 10, 30, 20}
	for q, want := range map[float64]float64{0: 10, 0.25: 10, 0.26: 20, 0.5: 20, 0.75: 30, 0.99: 40, 1: 40} {
		if got := Quantile(values, q); got != want {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if got := Quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
}

func TestRatioOf_DividesWithinARun(t *testing.T) {
	over := map[int]float64{0: 2, 1: 9, 2: 5, 3: 1}
	under := map[int]float64{0: 1, 1: 3, 3: 0}
	if got, ok := RatioOf(over, under); !ok || got != (Spread{Median: 2.5, Min: 2, Max: 3}) {
		t.Errorf("got %v, %v, want 2 and 3 only", got, ok)
	}
	if got, ok := RatioOf(over, nil); ok {
		t.Errorf("nothing to divide by: got %v", got)
	}
}
