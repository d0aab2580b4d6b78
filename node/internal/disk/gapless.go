package disk

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// gapless keeps the log free of holes, also behind the older snapshot.
//
// A snapshot from the leader ends beyond the log, and Raft goes on behind it: it
// leaves what was there before, and a hole. Only a log that calls itself monotonic
// is emptied first, and of what it holds beyond the snapshot too. That happens to
// who has the leader's entries, but whose answer was lost when the leader compacted
// its log: from then on Raft asks such a log for entries that are gone, until the
// next start. So this one does not call itself monotonic, and closes the hole when
// the first entry behind it comes: until then nothing is lost.
type gapless struct {
	raft.LogStore
	snapshots raft.SnapshotStore
}

// StoreLog implements raft.LogStore.
func (g *gapless) StoreLog(e *raft.Log) error { return g.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (g *gapless) StoreLogs(entries []*raft.Log) error {
	last, err := g.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	if last > 0 && len(entries) > 0 && entries[0].Index > last+1 {
		if err := g.beginAt(entries[0].Index, last); err != nil {
			return err
		}
	}
	return g.LogStore.StoreLogs(entries)
}

// beginAt empties a log that ends at last, if a snapshot has all before index.
func (g *gapless) beginAt(index, last uint64) error {
	list, err := g.snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, s := range list {
		if s.Index+1 >= index {
			first, err := g.FirstIndex()
			if err != nil {
				return fmt.Errorf("first index: %w", err)
			}
			return g.LogStore.DeleteRange(first, last)
		}
	}
	return fmt.Errorf("entry %d does not follow on %d, and no snapshot has what is between", index, last)
}

// DeleteRange implements raft.LogStore; from and to are included. A compaction leaves
// what follows the older snapshot. Raft counts from the newest entry what it leaves,
// which is too little if many came since, or while the newest snapshot was written.
func (g *gapless) DeleteRange(from, to uint64) error {
	first, err := g.FirstIndex()
	if err != nil {
		return fmt.Errorf("first index: %w", err)
	}
	last, err := g.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	if from <= first && to < last {
		list, err := g.snapshots.List()
		if err != nil {
			return fmt.Errorf("list snapshots: %w", err)
		}
		for _, s := range list {
			to = min(to, s.Index)
		}
	}
	if from > to {
		return nil
	}
	return g.LogStore.DeleteRange(from, to)
}
