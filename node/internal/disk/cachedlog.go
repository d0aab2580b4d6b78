package disk

import (
	"sync"

	"github.com/hashicorp/raft"
)

const (
	// The leader feeds followers from this cache instead of reading back from the
	// store, which about doubles the throughput of small entries. Who lags behind it
	// is fed from the store.
	cachedEntries = 512
	cachedBytes   = 16 << 20 // of data; Raft's own cache counts entries only, which may have 256 KiB each
)

// cachedLog keeps the newest entries at hand.
type cachedLog struct {
	raft.LogStore

	mu     sync.RWMutex             // guards all below
	slots  [cachedEntries]*raft.Log // by index modulo their number
	bytes  int                      // of what is in slots
	oldest uint64                   // nothing below it is in slots
}

// GetLog implements raft.LogStore.
func (c *cachedLog) GetLog(index uint64, into *raft.Log) error {
	c.mu.RLock()
	e := c.slots[index%cachedEntries]
	c.mu.RUnlock()
	if e != nil && e.Index == index {
		*into = *e
		return nil
	}
	return c.LogStore.GetLog(index, into)
}

// StoreLog implements raft.LogStore.
func (c *cachedLog) StoreLog(e *raft.Log) error { return c.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore: what is not stored is not cached.
func (c *cachedLog) StoreLogs(entries []*raft.Log) error {
	if err := c.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		c.putLocked(e)
	}
	return nil
}

func (c *cachedLog) putLocked(e *raft.Log) {
	c.dropLocked(e.Index)
	c.slots[e.Index%cachedEntries] = e
	c.bytes += size(e)
	c.oldest = min(c.oldest, e.Index) // another leader's come again from further down
	c.oldest = max(c.oldest, e.Index-min(e.Index, cachedEntries-1))
	for c.bytes > cachedBytes {
		c.dropLocked(c.oldest)
		c.oldest++
	}
}

// dropLocked empties the slot of index.
func (c *cachedLog) dropLocked(index uint64) {
	if e := c.slots[index%cachedEntries]; e != nil {
		c.bytes -= size(e)
		c.slots[index%cachedEntries] = nil
	}
}

// DeleteRange implements raft.LogStore; from and to are included.
func (c *cachedLog) DeleteRange(from, to uint64) error {
	c.forget(from, to)
	return c.LogStore.DeleteRange(from, to)
}

func (c *cachedLog) forget(from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.slots[:] {
		if e != nil && from <= e.Index && e.Index <= to {
			c.dropLocked(e.Index)
		}
	}
}

func size(e *raft.Log) int { return len(e.Data) + len(e.Extensions) }
