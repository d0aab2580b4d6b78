package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

const (
	maxEntries = 4096 // processes that gossip may make us remember
	maxKnown   = 512  // addresses that are tried again after their process has gone
)

var (
	errForeign   = errors.New("belongs to another cluster")
	errDirectory = errors.New("directory is full")
	errMoved     = errors.New("a known name from a new place")
)

// Rejections counts what came to the gossip port and was refused.
type Rejections struct {
	Foreign   uint64 // alive messages of another cluster
	Garbage   uint64 // alive messages whose name, address or metadata is not of this format
	Full      uint64 // alive messages of more processes than a directory holds
	Moved     uint64 // alive messages of a known name from a new place
	Unsealed  uint64 // packets and streams that no holder of the gossip key has made
	Oversized uint64 // packets and streams larger than anything gossip sends
}

// directory is the table of live processes as gossip tells it. It is written by
// memberlist's callbacks, which run under memberlist's lock: everything here is
// short, waits for nobody and never calls memberlist.
type directory struct {
	self  entry // its ClusterID is below
	limit int

	mu        sync.Mutex // guards what follows
	clusterID string
	entries   map[string]entry // by gossip name; live ones, without ourselves
	arrivals  uint64
	sids      map[string]string // node id -> sid, of all there ever were
	known     map[string]uint64 // gossip address -> arrival number when last heard of
	visible   []entry           // see visibleLocked; nil: to be found out again
	rejected  Rejections
	changed   chan struct{} // closed at the next change
}

// entry is one live process.
type entry struct {
	Member
	gossipAddr string // IP:PORT, differs from Addr where that has a host name
	started    int64  // its own clock, so only a hint which of two is newer
	arrival    uint64 // ours
}

func newDirectory(self entry, clusterID string) *directory {
	return &directory{
		self: self, limit: maxEntries, clusterID: clusterID,
		entries: make(map[string]entry), known: make(map[string]uint64), sids: make(map[string]string),
		changed: make(chan struct{}),
	}
}

// put adds or updates a process.
func (d *directory) put(e entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.arrivals++
	e.arrival = d.arrivals
	name := gossipName(e.NodeID, e.Incarnation)
	if old, ok := d.entries[name]; ok {
		e.arrival = old.arrival // an update is not an arrival
	}
	d.entries[name] = e
	d.nameLocked(e)
	d.rememberLocked(e.gossipAddr)
	d.changedLocked()
}

// nameLocked remembers whose node id this is. When there are too many, only those
// that live are left.
func (d *directory) nameLocked(e entry) {
	if len(d.sids) >= 2*d.limit {
		clear(d.sids)
		for _, live := range d.entries {
			d.sids[live.NodeID] = live.SID
		}
	}
	d.sids[e.NodeID] = e.SID
}

// sid of a node id, also of one that is gone; "" if it never was in sight.
func (d *directory) sid(nodeID string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if nodeID == d.self.NodeID {
		return d.self.SID
	}
	return d.sids[nodeID]
}

func (d *directory) drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.entries[name]; ok {
		d.known[e.gossipAddr] = d.arrivals // dead from now on, not from when it came
		delete(d.entries, name)
		d.changedLocked()
	}
}

// admit decides on an alive message before memberlist believes it, and counts
// refusals. Another cluster's server comes here when it got an address that one
// of ours had; two clusters that merged their gossip would never part again.
func (d *directory) admit(name string, e entry, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.rejected.Garbage++
		return err
	}
	if foreign(e.ClusterID, d.clusterID) {
		d.rejected.Foreign++
		// What it said before it belonged anywhere may be here still, and memberlist will
		// never bring an update to what was refused.
		if _, known := d.entries[name]; known {
			delete(d.entries, name)
			d.changedLocked()
		}
		return fmt.Errorf("%s %w", e.ClusterID, errForeign)
	}
	if _, ok := d.entries[name]; !ok && len(d.entries) >= d.limit {
		d.rejected.Full++
		return errDirectory
	}
	return nil
}

// reject counts what was dropped before it came to admit, or after.
func (d *directory) reject(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case errors.Is(err, errOversized):
		d.rejected.Oversized++
	case errors.Is(err, errMoved):
		d.rejected.Moved++
	default:
		d.rejected.Unsealed++
	}
}

// setClusterID reports whether it is news.
func (d *directory) setClusterID(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clusterID == id {
		return false
	}
	d.clusterID = id
	d.changedLocked()
	return true
}

// members are the live processes as others may see them, ourselves included,
// sorted by node id.
func (d *directory) members() []Member {
	d.mu.Lock()
	defer d.mu.Unlock()
	visible := d.visibleLocked()
	out := make([]Member, len(visible))
	for i, e := range visible {
		out[i] = e.Member
	}
	return out
}

// visibleLocked leaves out other clusters' processes (they came in before we
// knew ours) and superseded ones: of two under one node id, or at one address,
// only the newer can be alive, and gossip needs seconds to notice. Sorted by node
// id; kept until the next change, because Raft asks for an address with every call
// to a peer. Not to be written to.
func (d *directory) visibleLocked() []entry {
	if d.visible != nil {
		return d.visible
	}
	self := d.self
	self.ClusterID = d.clusterID
	all := slices.SortedFunc(maps.Values(d.entries), func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.started, a.started), cmp.Compare(b.arrival, a.arrival))
	})
	all = slices.Insert(all, 0, self)
	ids, addrs := make(map[string]bool, len(all)), make(map[string]bool, len(all))
	visible := all[:0]
	for _, e := range all {
		if foreign(e.ClusterID, d.clusterID) || ids[e.NodeID] || addrs[e.gossipAddr] {
			continue
		}
		ids[e.NodeID], addrs[e.gossipAddr] = true, true
		visible = append(visible, e)
	}
	slices.SortFunc(visible, func(a, b entry) int { return cmp.Compare(a.NodeID, b.NodeID) })
	d.visible = visible
	return visible
}

// addrOf is the newest address of a live node id.
func (d *directory) addrOf(nodeID string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	visible := d.visibleLocked()
	at, ok := slices.BinarySearchFunc(visible, nodeID, func(e entry, id string) int { return cmp.Compare(e.NodeID, id) })
	if !ok {
		return "", false
	}
	return visible[at].Addr, true
}

// missing are the gossip addresses that were known and are not live.
func (d *directory) missing() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone := maps.Clone(d.known)
	for _, e := range d.visibleLocked() {
		delete(gone, e.gossipAddr)
	}
	return slices.Sorted(maps.Keys(gone))
}

// live tells whether a visible process has this gossip address.
func (d *directory) live(gossipAddr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.visibleLocked(), func(e entry) bool { return e.gossipAddr == gossipAddr })
}

func (d *directory) changes() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *directory) rejections() Rejections {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rejected
}

// rememberLocked forgets the address that was silent longest when there are too
// many: a fleet that grows and shrinks for months leaves thousands behind.
func (d *directory) rememberLocked(gossipAddr string) {
	d.known[gossipAddr] = d.arrivals
	if len(d.known) <= maxKnown {
		return
	}
	live := make(map[string]bool, len(d.entries))
	for _, e := range d.entries {
		live[e.gossipAddr] = true
	}
	oldest := ""
	for addr, at := range d.known {
		if !live[addr] && (oldest == "" || at < d.known[oldest]) {
			oldest = addr
		}
	}
	delete(d.known, oldest)
}

func (d *directory) changedLocked() {
	d.visible = nil
	close(d.changed)
	d.changed = make(chan struct{})
}

// foreign: two servers that have not both found a cluster may still share one.
func foreign(a, b string) bool { return a != "" && b != "" && a != b }
