package stats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets are 1/64 of a power of two wide, so the middle of one is within 0.8 % of
// everything in it.
const (
	subBits = 6
	sub     = 1 << subBits
	powers  = 40 // up to 2^46 ns, about 19 hours
	buckets = (powers + 1) * sub
	shards  = 8
)

// Histogram counts durations. Any number of goroutines may Record at once; each
// passes a number of its own, so that they do not meet in one cache line.
type Histogram struct {
	counts [shards][buckets]atomic.Uint64
}

// Record counts one duration; a negative one is 0.
func (h *Histogram) Record(who int, d time.Duration) {
	h.counts[who%shards][bucket(d)].Add(1)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range buckets {
		n += h.at(i)
	}
	return n
}

// Quantile returns the duration that the share q (0 to 1) of all recorded ones
// does not exceed, within 0.8 %; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := rankOf(q, h.Count())
	for i := range buckets {
		n := h.at(i)
		if n > 0 && n >= rank {
			return middle(i)
		}
		rank -= n
	}
	return 0
}

func (h *Histogram) at(i int) uint64 {
	var n uint64
	for s := range h.counts {
		n += h.counts[s][i].Load()
	}
	return n
}

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < sub {
		return int(v)
	}
	power := bits.Len64(v) - 1 - subBits // v>>power is in [sub, 2*sub)
	return min((power+1)*sub+int(v>>power)-sub, buckets-1)
}

func middle(i int) time.Duration {
	if i < sub {
		return time.Duration(i)
	}
	power := i/sub - 1
	low := uint64(sub+i%sub) << power
	return time.Duration(low + (uint64(1)<<power)/2)
}
