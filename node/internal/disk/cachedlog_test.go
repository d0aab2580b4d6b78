package disk

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// held counts what the cache has of entries 1 to last.
func (c *cachedLog) held(last uint64) (entries, bytes int) {
	for _, e := range c.slots {
		if e != nil && e.Index <= last {
			entries++
			bytes += size(e)
		}
	}
	return entries, bytes
}

func sized(index uint64, bytes int) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Data: make([]byte, bytes)}
}

// Raft's cache held 512 entries of up to 256 KiB: 128 MiB.
func TestCachedLog_IsBoundedByBytesAndByEntries(t *testing.T) {
	for _, c := range []struct{ size, want int }{
		{256 << 10, cachedBytes / (256 << 10)},
		{100, cachedEntries},
		{cachedBytes + 1, 0},
	} {
		log := &cachedLog{LogStore: newMemoryLog(newFaults())}
		last := uint64(2 * cachedEntries)
		if c.size > cachedBytes {
			last = 3
		}
		for i := range last {
			must(t, log.StoreLog(sized(i+1, c.size)))
		}
		entries, bytes := log.held(last)
		if entries != c.want || bytes != log.bytes {
			t.Errorf("of %d bytes: %d entries with %d bytes, counted %d; want %d entries", c.size, entries, bytes, log.bytes, c.want)
		}
		for i := range last { // the rest is in the store
			var e raft.Log
			must(t, log.GetLog(i+1, &e))
			if e.Index != i+1 {
				t.Fatalf("entry %d says that it is %d", i+1, e.Index)
			}
		}
	}
}

func TestCachedLog_ForgetsWhatIsDeletedAndTakesItAgain(t *testing.T) {
	log := &cachedLog{LogStore: newMemoryLog(newFaults())}
	store := func(from, to uint64) {
		for i := from; i <= to; i++ {
			must(t, log.StoreLog(sized(i, 256<<10)))
		}
	}
	store(1, 84)                     // holds those from 21 on
	must(t, log.DeleteRange(31, 84)) // what another leader has otherwise
	must(t, log.DeleteRange(1, 25))  // after a snapshot
	if entries, bytes := log.held(84); entries != 5 || bytes != log.bytes {
		t.Errorf("%d entries with %d bytes, counted %d; want those from 26 to 30", entries, bytes, log.bytes)
	}
	if err := log.GetLog(31, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("%v", err)
	}
	must(t, log.DeleteRange(26, 30))
	store(11, 110) // from further down than the cache reached
	if entries, bytes := log.held(110); entries != 64 || bytes != log.bytes || log.slots[47] == nil {
		t.Errorf("%d entries with %d bytes, counted %d; want those from 47 to 110", entries, bytes, log.bytes)
	}
}

// failing does not store.
type failing struct{ raft.LogStore }

func (failing) StoreLogs([]*raft.Log) error { return errors.New("disk full") }

func TestCachedLog_HoldsNothingThatIsNotStored(t *testing.T) {
	log := &cachedLog{LogStore: failing{newMemoryLog(newFaults())}}
	if err := log.StoreLog(entry(1)); err == nil {
		t.Error("stored")
	}
	if err := log.GetLog(1, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("%v", err)
	}
}
