package node_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/internal/disk"
)

// compacted makes a directory whose log goes from first to 60, with snapshots that
// end at each of those entries.
func compacted(t *testing.T, kind disk.LogStore, first uint64, snapshots ...uint64) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	s, err := disk.Open(t.Context(), dir, "c1", kind, hclog.NewNullLogger())
	must(t, err)
	for i := first; i <= 60; i++ {
		must(t, s.Log.StoreLog(&raft.Log{Index: i, Term: 1, Type: raft.LogNoop}))
	}
	_, trans := raft.NewInmemTransport("")
	for _, index := range snapshots {
		sink, err := s.Snapshots.Create(1, index, 1, raft.Configuration{}, 0, trans)
		must(t, err)
		_, err = fsm.NewState().WriteSnapshot(sink)
		must(t, errors.Join(err, sink.Close()))
	}
	must(t, s.Close())
	return dir
}

// spoil makes the snapshot that ends at index unreadable.
func spoil(t *testing.T, dir string, index uint64) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "snapshots", fmt.Sprint("*-", index, "-*"), "state.bin"))
	must(t, err)
	if len(all) != 1 {
		t.Fatalf("%d snapshots", len(all))
	}
	must(t, os.Truncate(all[0], 10))
}

// Raft falls back to the older snapshot, and panicked over the first entry that it
// then lacked: in the host's goroutine.
func TestStart_UnreadableSnapshotsAreDoneWithoutOrRefused(t *testing.T) {
	for _, kind := range []disk.LogStore{disk.BoltDB, disk.WAL} {
		for _, c := range []struct {
			what      string
			first     uint64
			snapshots []uint64
			spoilt    []uint64
			refused   bool
		}{
			{"the newest, and the older one has its entries", 21, []uint64{20, 50}, []uint64{50}, false},
			{"the newest, and the older one lacks entries", 41, []uint64{20, 50}, []uint64{50}, true},
			{"the older one", 41, []uint64{20, 50}, []uint64{20}, false},
			{"both", 41, []uint64{20, 50}, []uint64{20, 50}, true},
			{"the only one", 41, []uint64{50}, []uint64{50}, true},
			{"there is none, and the log does not begin at 1", 41, nil, nil, true},
		} {
			t.Run(fmt.Sprint(kind, "/", c.what), func(t *testing.T) {
				dir := compacted(t, kind, c.first, c.snapshots...)
				for _, index := range c.spoilt {
					spoil(t, dir, index)
				}
				cfg := node.Config{SID: "c1", SType: "connector", DataDir: dir}
				must(t, cfg.LogStore.UnmarshalText([]byte(kind)))
				for range 2 { // nothing keeps the directory
					n, err := node.Start(t.Context(), cfg)
					if err == nil {
						must(t, n.Close())
					}
					if !c.refused && err != nil || c.refused && (err == nil || !strings.Contains(err.Error(), dir) ||
						!strings.Contains(err.Error(), "delete all of it to start as a new node")) {
						t.Errorf("%v", err)
					}
				}
			})
		}
	}
}
