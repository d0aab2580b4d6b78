package meter

import (
	"os"
	"testing"
	"time"

	"github.com/armon/go-metrics"
	"github.com/hashicorp/raft"
)

func TestAppends_CountsWhatRaftStores(t *testing.T) {
	a, err := CountAppends()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	metrics.MeasureSince([]string{"raft", "leader", "dispatchLog"}, began)
	metrics.MeasureSince([]string{"raft", "rpc", "appendEntries", "storeLogs"}, began)
	metrics.MeasureSince([]string{"raft", "rpc", "appendEntries"}, began)
	metrics.IncrCounter([]string{"raft", "apply"}, 1)
	metrics.AddSample([]string{"other", "leader", "dispatchLog"}, 1)
	if got, want := a.Count(), uint64(2); got != want {
		t.Errorf("got %d appends, want %d", got, want)
	}
}

// A newer Raft that gives its metrics other names must not go unnoticed.
func TestAppends_CountsARealRaft(t *testing.T) {
	a, err := CountAppends()
	if err != nil {
		t.Fatal(err)
	}
	conf := raft.DefaultConfig()
	conf.LocalID, conf.LogOutput, conf.LogLevel = "one", devNull{}, "OFF"
	store := raft.NewInmemStore()
	snapshots := raft.NewDiscardSnapshotStore()
	addr, wire := raft.NewInmemTransport("")
	all := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: addr}}}
	if err := raft.BootstrapCluster(conf, store, store, snapshots, wire, all); err != nil {
		t.Fatal(err)
	}
	r, err := raft.NewRaft(conf, &raft.MockFSM{}, store, store, snapshots, wire)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Shutdown().Error() }()
	for leads := range r.LeaderCh() {
		if leads {
			break
		}
	}
	// It leads before its first entry, the empty one of its term, is appended.
	if err := r.Barrier(0).Error(); err != nil {
		t.Fatal(err)
	}
	before := a.Count()
	const writes = 5
	for range writes {
		if err := r.Apply([]byte("x"), 0).Error(); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.Count() - before; got != writes {
		t.Errorf("got %d appends for %d writes one after the other", got, writes)
	}
}

type devNull struct{}

func (devNull) Write(p []byte) (int, error) { return len(p), nil }

func TestSyncTime_LeavesNothing(t *testing.T) {
	dir := t.TempDir()
	took, err := SyncTime(dir)
	if err != nil {
		t.Fatal(err)
	}
	if took <= 0 || took > 10*time.Second {
		t.Errorf("got %v", took)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := SyncTime(dir + "/absent"); err == nil {
		t.Error("a directory that is not there: got no error")
	}
}

func TestCPU_GrowsWithWork(t *testing.T) {
	before, err := CPU()
	if err != nil {
		t.Fatal(err)
	}
	began := Now()
	sum := 0
	for after := before; after <= before; {
		for i := range 1_000_000 {
			sum += i
		}
		if after, err = CPU(); err != nil {
			t.Fatal(err)
		}
	}
	if Now() <= began {
		t.Errorf("the clock stood still at %v (%d)", began, sum)
	}
}
