package switchnet

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

// protocols of IP that links tell apart.
const (
	tcp = 6
	udp = 17
)

// held is how long a packet that others overtake stays behind, at most, beyond the
// delay and the jitter: long enough that some follow, short enough for a pause of
// theirs to be no loss.
const held = 10 * time.Millisecond

// link is the way from one machine to another.
type link struct {
	cut     atomic.Uint32                 // a bit for each fault.Traffic
	weather atomic.Pointer[fault.Weather] // nil: good
	waiting atomic.Int32                  // packets in the queue

	// Of the one goroutine that reads what the sender sends.
	random *rand.Rand
	last   time.Duration // when the last packet that keeps its place arrives
}

func bit(what fault.Traffic) uint32 { return 1 << what }

// carries says whether a packet of that protocol gets through. ICMP and whatever
// else there is stops only where everything does.
func (l *link) carries(protocol byte) bool {
	stopped := bit(fault.All)
	switch protocol {
	case udp:
		stopped |= bit(fault.Gossip)
	case tcp:
		stopped |= bit(fault.Calls)
	}
	return l.cut.Load()&stopped == 0
}

// arrivals appends when the copies of a packet arrive that would be there now, were the
// weather good. It keeps their order
// whatever the jitter, as a road with one lane does, but for those that weather lets
// be overtaken.
func (l *link) arrivals(w *fault.Weather, now time.Duration, at []time.Duration) []time.Duration {
	if l.happens(w.Loss) {
		return at
	}
	copies := 1
	if l.happens(w.Duplicate) {
		copies = 2
	}
	for range copies {
		due := now + w.Delay + l.upTo(w.Jitter)
		if l.happens(w.Reorder) {
			due += l.upTo(w.Delay + w.Jitter + held)
		} else {
			due = max(due, l.last)
			l.last = due
		}
		at = append(at, due)
	}
	return at
}

func (l *link) happens(probability float64) bool { return l.random.Float64() < probability }

func (l *link) upTo(d time.Duration) time.Duration {
	return time.Duration(l.random.Int64N(int64(d) + 1))
}
