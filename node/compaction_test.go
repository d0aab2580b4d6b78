package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/disk"
)

// A node without a data directory kept 10,240 entries of up to 256 KiB.
func TestCompaction_BoundsTheLogByItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		voters, leader := slowVoters(t, 0)
		op := fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: strings.Repeat("x", 255)}
		group := fsm.AppendGroup(nil, 1, slices.Repeat([]fsm.Op{op}, 900)...)
		entry := fsm.AppendBatches(nil, fsm.Version, fsm.AppendBatch(nil, "c1", 1, 1, group))
		for range 6 * memoryLogStep / len(entry) {
			if err := leader.raft.Apply(entry, 0).Error(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for i, c := range voters {
			if got, usual := c.raft.ReloadableConfig().TrailingLogs, uint64(trailingLogs); got != usual {
				t.Errorf("Raft's own snapshots leave %d entries, want %d", got, usual)
			}
			first, last, bytes := extent(t, c.compaction.log)
			if want := int64(3*memoryLogStep + len(entry)); bytes > want {
				t.Errorf("voter %d: entries %d to %d have %d MiB, want %d at most", i, first, last, bytes>>20, want>>20)
			}
			list, err := c.compaction.snapshots.List()
			if err != nil || len(list) < 2 {
				t.Fatalf("%v: %d snapshots", err, len(list))
			}
			if older := list[len(list)-1].Index; first > older+1 {
				t.Errorf("voter %d: the log begins at %d, and the older snapshot ends at %d", i, first, older)
			}
		}
	})
}

func TestCompaction_TakesNoSnapshotSoonerThanTheLogHasItsBytes(t *testing.T) {
	store, err := new(disk.Memory).Open("c1")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{10, 300} {
		sink, err := store.Snapshots.Create(1, uint64(size), 1, raft.Configuration{}, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sink.Write(make([]byte, size))
		if err := errors.Join(err, sink.Close()); err != nil {
			t.Fatal(err)
		}
		p := compaction{snapshots: store.Snapshots, least: 100}
		if got, want := p.step(), int64(max(size, 100)); got != want {
			t.Errorf("after a snapshot of %d bytes: %d, want %d", size, got, want)
		}
	}
}

// Raft would empty it when a snapshot is installed, of what it has beyond that too;
// see disk.
func TestCountedLog_LeavesHolesToTheStore(t *testing.T) {
	store, err := new(disk.Memory).Open("c1")
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := any(countLog(store.Log, 1)).(raft.MonotonicLogStore); ok && m.IsMonotonic() {
		t.Error("it says that it is monotonic")
	}
}

func extent(t *testing.T, log raft.LogStore) (first, last uint64, bytes int64) {
	t.Helper()
	first, err := log.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	if last, err = log.LastIndex(); err != nil {
		t.Fatal(err)
	}
	for i := first; i <= last; i++ {
		var e raft.Log
		if err := log.GetLog(i, &e); err != nil {
			t.Fatal(err)
		}
		bytes += entryBytes(&e)
	}
	return first, last, bytes
}
