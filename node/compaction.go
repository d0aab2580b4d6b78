package node

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Raft bounds its log by entries, and an entry may have 256 KiB. So a snapshot is
// also taken each time that so many bytes have come, or as many as the last
// snapshot has if that is more: snapshots then never cost more than the log. The log
// reaches back over two of these steps, and what comes until the next; a start
// reads all of it.
const (
	memoryLogStep = 16 << 20
	diskLogStep   = 64 << 20
	entryOverhead = 128 // what an entry takes in memory beside its data, about
)

// compaction takes snapshots by the bytes of the log, and in the place of one that cannot
// be read, beside those that Raft takes by its entries.
type compaction struct {
	raft      *raft.Raft
	log       *countedLog
	snapshots raft.SnapshotStore
	missing   <-chan struct{} // see disk.Store
	least     int64           // bytes between two snapshots
}

// run ends with stop, which is closed when Raft is down: until then Raft answers.
func (p *compaction) run(stop <-chan struct{}) {
	for {
		select {
		case <-p.log.grown:
			p.snapshot()
		case <-p.missing:
			p.snapshot()
		case <-stop:
			return
		}
	}
}

// snapshotSoon has one taken, whatever has come since the last.
func (c *consensus) snapshotSoon() {
	select {
	case c.compaction.log.grown <- struct{}{}:
	default: // it is to be taken anyway
	}
}

func (p *compaction) snapshot() {
	usual := p.raft.ReloadableConfig()
	short := usual
	short.TrailingLogs = min(usual.TrailingLogs, p.trailing(usual.TrailingLogs))
	_ = p.raft.ReloadConfig(short) // it refuses times only
	_ = p.raft.Snapshot().Error()  // Raft logs it; the next step tries again
	_ = p.raft.ReloadConfig(usual) // for the snapshots that Raft takes of itself
	p.log.step.Store(p.step())
}

// trailing counts the entries since the older of two snapshots, which the next one
// takes the place of: a follower that lags by no more than a step finds them. What
// the one that is then the older needs, the log keeps itself; see disk.
func (p *compaction) trailing(usual uint64) uint64 {
	list, err := p.snapshots.List()
	if err != nil || len(list) < 2 {
		return usual
	}
	last, oldest := p.raft.LastIndex(), list[len(list)-1].Index
	return max(last, oldest) - oldest
}

// step is the bytes until the next snapshot.
func (p *compaction) step() int64 {
	list, err := p.snapshots.List()
	if err != nil || len(list) == 0 {
		return p.least
	}
	return max(p.least, list[0].Size)
}

// countedLog tells when entries of so many bytes have come.
type countedLog struct {
	raft.LogStore
	bytes atomic.Int64 // since it told
	step  atomic.Int64
	grown chan struct{} // one slot
}

// countLog begins anywhere in the first step, so that the replicas of one log do
// not all write their snapshots at once.
func countLog(log raft.LogStore, step int64) *countedLog {
	l := &countedLog{LogStore: log, grown: make(chan struct{}, 1)}
	l.step.Store(step)
	l.bytes.Store(rand.Int64N(step))
	return l
}

// StoreLog implements raft.LogStore.
func (l *countedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l *countedLog) StoreLogs(entries []*raft.Log) error {
	if err := l.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	var bytes int64
	for _, e := range entries {
		bytes += entryBytes(e)
	}
	if l.bytes.Add(bytes) < l.step.Load() {
		return nil
	}
	l.bytes.Store(0)
	select {
	case l.grown <- struct{}{}:
	default: // told already
	}
	return nil
}

func entryBytes(e *raft.Log) int64 { return int64(len(e.Data) + len(e.Extensions) + entryOverhead) }
