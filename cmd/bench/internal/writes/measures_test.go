package writes

import (
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// measured has run all cases of o; ops and p50 of a sample come from f.
func measured(o Options, f func(run int, k Case) Sample) *bench {
	b := &bench{options: o, log: io.Discard}
	for run := range o.Runs {
		for _, s := range turn(o.systems(), run) {
			for _, k := range o.cases(s) {
				b.note(run, k, f(run, k))
			}
		}
	}
	return b
}

func everything() Options {
	o := defaults()
	o.Redis, o.Raft = "127.0.0.1:6379", true
	return o
}

func TestMeasures_AreMediansOfRuns(t *testing.T) {
	b := measured(everything(), func(run int, k Case) Sample {
		s := Sample{OpsPerS: 1000 * float64(run+1), P50us: 100}
		switch {
		case k.System == "redis":
			s.OpsPerS = 500
		case k.System == "raft":
			s.P50us = []float64{50, 80, 100}[run]
		case k.Call == callApply && k.Store == "wal":
			s.OpsPerS = 9e5
		case k.Call == callApply:
			s.OpsPerS = 4e5
		case k.Place == onFollower:
			s.OpsPerS *= 0.9
		case k.Store == "wal":
			s.OpsPerS *= 2
		}
		return s
	})
	for i := range 100 {
		b.kills = append(b.kills, float64(1000+i))
		b.handovers.gaps = append(b.handovers.gaps, float64(i+1))
		b.lag = append(b.lag, float64(i+1)/10)
	}
	b.handovers.errors = 2
	got := make(map[string]float64)
	for name, s := range b.measures() {
		got[name] = s.Median
	}
	want := map[string]float64{
		"single_p50_vs_raft": 1.25, "single_wal_p50_vs_raft": 1.25,
		"out50_ops_per_s": 2000, "out50_wal_ops_per_s": 4000,
		"out1000_vs_redis": 4, "follower_vs_leader": 0.9,
		"apply512_ops_per_s": 4e5, "apply512_wal_ops_per_s": 9e5,
		"failover_p50_ms": 1049, "failover_p99_ms": 1098, "failover_max_ms": 1099,
		"handover_p50_ms": 50, "handover_p99_ms": 99, "handover_max_ms": 100, "handover_errors": 2,
		"follower_lag_p50_ms": 5, "follower_lag_p99_ms": 9.9,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
	spread := b.measures()["single_p50_vs_raft"]
	if want := (stats.Spread{Median: 1.25, Min: 1, Max: 2}); spread != want {
		t.Errorf("spread: got %v, want %v", spread, want)
	}
}

func TestMeasures_AreAbsentWhereNothingWasMeasured(t *testing.T) {
	o := defaults()
	o.Stores, o.Outstanding = []string{"boltdb"}, []int{1, 50}
	b := measured(o, func(int, Case) Sample { return Sample{OpsPerS: 1, P50us: 1} })
	got := slices.Sorted(maps.Keys(b.measures()))
	want := []string{"apply512_ops_per_s", "out50_ops_per_s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
}

func TestSampleOf(t *testing.T) {
	r := load.Result{Seconds: 2, Ops: 1000, P50us: 7, P99us: 9, Errors: 1, Error: "x"}
	before := server.Meter{CPU: time.Second, Appends: 10}
	after := server.Meter{CPU: 1500 * time.Millisecond, Appends: 110}
	for store, fsyncs := range map[string]float64{"boltdb": 100, "wal": 50} {
		got := sampleOf(Case{Store: store}, r, before, after)
		want := Sample{OpsPerS: 500, P50us: 7, P99us: 9, CPUus: 500, FsyncsPerS: &fsyncs, Errors: 1, Error: "x"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", store, diff)
		}
	}
	r.Ops = 0
	if got := sampleOf(Case{}, r, before, after).CPUus; got != 0 {
		t.Errorf("CPU of no operations: got %v, want 0", got)
	}
}
