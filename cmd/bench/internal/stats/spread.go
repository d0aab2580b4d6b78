package stats

import (
	"math"
	"slices"
)

// Spread is a figure of several runs.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf returns zeros for no values. The median of an even number of values is
// the mean of the two in the middle.
func SpreadOf(values ...float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	median := s[mid]
	if len(s)%2 == 0 {
		median = (s[mid-1] + s[mid]) / 2
	}
	return Spread{Median: median, Min: s[0], Max: s[len(s)-1]}
}

// RatioOf divides within each run, whose samples were taken minutes apart at most: the
// machine's mood then weighs on both. Runs that have only one of the two, or a 0 below,
// are left out; false: all of them.
func RatioOf(over, under map[int]float64) (Spread, bool) {
	var ratios []float64
	for run, v := range over {
		if w := under[run]; w > 0 {
			ratios = append(ratios, v/w)
		}
	}
	return SpreadOf(ratios...), len(ratios) > 0
}

// Quantile returns the value that the share q (0 to 1) of values does not exceed
// (the nearest rank, so always one of them); 0 if there are none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[rankOf(q, uint64(len(s)))-1]
}

// rankOf is the nearest rank, from 1.
func rankOf(q float64, n uint64) uint64 {
	return min(max(uint64(math.Ceil(q*float64(n))), 1), max(n, 1))
}
