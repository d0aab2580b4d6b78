package meter

import (
	"math/rand/v2"
	"time"
)

const (
	loads     = 2_000_000
	loadBytes = 4 // of one
)

// LoadTime is what a load from memory of so many bytes takes, in ns: each depends on
// the one before, and none is near it.
func LoadTime(bytes int) float64 {
	next := circle(max(bytes/loadBytes, 2))
	at := uint32(0)
	began := time.Now()
	for range loads {
		at = next[at]
	}
	took := time.Since(began)
	if int(at) >= len(next) { // never, but the compiler does not know
		return 0
	}
	return float64(took.Nanoseconds()) / loads
}

// circle leads from any place through all others, in random order, back to it
// (Sattolo's way).
func circle(n int) []uint32 {
	random := rand.New(rand.NewPCG(uint64(n), 5))
	next := make([]uint32, n)
	for i := range next {
		next[i] = uint32(i)
	}
	for i := n - 1; i > 0; i-- {
		j := random.IntN(i)
		next[i], next[j] = next[j], next[i]
	}
	return next
}
