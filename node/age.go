package node

import (
	"slices"
	"sync"
	"time"
)

// maxAhead is how many answers an age remembers until the replica is there. When
// there are more, every second one is forgotten: the age may then be told too high,
// never too low.
const maxAhead = 64

// age is how old a replica is: the time since this node sent the newest request
// (for a read index, or a batch) whose answer's index the replica has applied. What
// was acknowledged anywhere before that moment is in the replica. It counts on the
// monotonic clock of this process alone.
type age struct {
	mu      sync.Mutex // guards all below; nothing else is done under it
	reached time.Time  // sending of the newest request whose answer the replica is known to have; zero: none
	ahead   []mark     // answers that it was not seen to have; sent and index both ascend
}

// mark is an answered request.
type mark struct {
	sent  time.Time
	index uint64
}

// note takes an answer. sent must be from before the request was sent for the first
// time: a batch that was sent again took effect after its first sending, but perhaps
// before its second. It is called for every answered batch, concurrently.
func (a *age) note(sent time.Time, index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !sent.After(a.reached) {
		return
	}
	at := len(a.ahead)
	for at > 0 && a.ahead[at-1].sent.After(sent) {
		at--
	}
	if at < len(a.ahead) && a.ahead[at].index <= index {
		return // a later request had an earlier answer
	}
	from := at
	for from > 0 && a.ahead[from-1].index >= index {
		from--
	}
	a.ahead = slices.Replace(a.ahead, from, at, mark{sent, index})
	if len(a.ahead) > maxAhead {
		a.thin()
	}
}

// thin forgets every second mark, but not the newest. It runs with mu held.
func (a *age) thin() {
	kept := a.ahead[:0]
	for i := (len(a.ahead) - 1) % 2; i < len(a.ahead); i += 2 {
		kept = append(kept, a.ahead[i])
	}
	a.ahead = kept
}

// now is the age of a replica that has applied index; false while nothing that was
// answered has reached it.
func (a *age) now(index uint64) (time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.ahead) && a.ahead[n].index <= index {
		n++
	}
	if n > 0 {
		a.reached = a.ahead[n-1].sent
		a.ahead = slices.Delete(a.ahead, 0, n)
	}
	if a.reached.IsZero() {
		return 0, false
	}
	return time.Since(a.reached), true
}
