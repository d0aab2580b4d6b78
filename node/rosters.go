package node

import (
	"sync"

	"github.com/pofresh/globalchannel/fsm"
)

// maxRosters is how many bytes of uids a node keeps for the next push to the same
// channels.
const maxRosters = 32 << 20

// rosters remembers what was read of channels, for as long as they do not change: most
// pushes go to channels that were pushed to a moment ago.
type rosters[K comparable, V any] struct {
	mu    sync.Mutex // guards all below
	kept  map[K]roster[V]
	bytes int
}

type roster[V any] struct {
	stamp fsm.Stamp
	list  V
	bytes int
}

// get is what was put with the same stamp.
func (r *rosters[K, V]) get(key K, stamp fsm.Stamp) (list V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept, ok := r.kept[key]
	if !ok || kept.stamp != stamp {
		return list, false
	}
	return kept.list, true
}

// put keeps a list, which nobody changes any more. To have room it forgets others, whichever.
func (r *rosters[K, V]) put(key K, stamp fsm.Stamp, list V, bytes int) {
	const overhead = 256 // of an entry
	bytes += overhead
	if bytes > maxRosters/2 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		r.kept = make(map[K]roster[V])
	}
	r.bytes += bytes - r.kept[key].bytes
	r.kept[key] = roster[V]{stamp, list, bytes}
	for other, kept := range r.kept {
		if r.bytes <= maxRosters {
			return
		}
		if other != key {
			r.bytes -= kept.bytes
			delete(r.kept, other)
		}
	}
}
