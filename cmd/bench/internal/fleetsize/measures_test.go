package fleetsize

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMeasures_AreOfWhatWasMeasured(t *testing.T) {
	o := defaults()
	o.Voters, o.Replicas = 1, 2
	b := &bench{options: o}
	if got := b.measures(); len(got) > 0 {
		t.Errorf("nothing was measured: got %v", got)
	}
	b.idle = &phase{samples: []Sample{{Seconds: 60, LeaderCPU: 3, Replicated: 200}, {Seconds: 60, LeaderCPU: 5, Replicated: 100}, {Seconds: 60, LeaderCPU: 4, Replicated: 300}}}
	b.load = &phase{elections: 1, samples: []Sample{
		{Seconds: 10, Replicated: 40_000, Answered: 4000, Result: load.Result{Seconds: 10, Ops: 2000, P50us: 1500, P99us: 9000, Errors: 3}},
	}}
	b.empty = arrivals{read: []float64{100, 300, 200}, ready: []float64{1, 2, 3}, received: []float64{10, 10, 10}}
	b.kills = []float64{1000, 1200, 1100}
	got := b.measures()
	for name, want := range map[string]stats.Spread{
		"idle_leader_cpu_percent":          {Median: 4, Min: 3, Max: 5},
		"idle_bytes_per_replica_and_s":     {Median: 100, Min: 50, Max: 150}, // to two of three servers
		"idle_elections":                   {},
		"load_elections":                   {Median: 1, Min: 1, Max: 1},
		"load_errors":                      {Median: 3, Min: 3, Max: 3},
		"load_writes_per_s":                {Median: 200, Min: 200, Max: 200},
		"load_bytes_per_replica_and_write": {Median: 100, Min: 100, Max: 100}, // 400,000 to two, of 2,000
		"load_answer_bytes_per_write":      {Median: 20, Min: 20, Max: 20},
		"load_p99_ms":                      {Median: 9, Min: 9, Max: 9},
		"start_empty_read_ms":              {Median: 200, Min: 100, Max: 300},
		"failover_p50_ms":                  {Median: 1100, Min: 1100, Max: 1100},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "start_stocked") || strings.HasSuffix(name, "lag_p50_ms") {
			t.Errorf("%s was not measured", name)
		}
	}
}

func TestParts_AreMinutesOrFifths(t *testing.T) {
	for whole, want := range map[time.Duration]int{10 * time.Minute: 10, 2 * time.Minute: 5, 30 * time.Second: 5, 3 * time.Second: 3, time.Millisecond: 1} {
		if got := parts(whole); got != want {
			t.Errorf("%v: got %d, want %d", whole, got, want)
		}
	}
}

func TestOptions_ValidateNamesTheFlag(t *testing.T) {
	if err := defaults().validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for flag, spoil := range map[string]func(*Options){
		"--voters":   func(o *Options) { o.Voters = 6 },
		"--replicas": func(o *Options) { o.Voters, o.Replicas = 1, 0 },
		"--idle":     func(o *Options) { o.Idle = -1 },
		"--warm-up":  func(o *Options) { o.WarmUp = -1 },
		"--rate":     func(o *Options) { o.Rate = 0 },
		"--callers":  func(o *Options) { o.Callers = 0 },
		"--starts":   func(o *Options) { o.Starts = -1 },
		"--members":  func(o *Options) { o.Members = mostMembers + 1 },
		"--kills":    func(o *Options) { o.Voters = 2 },
	} {
		o := defaults()
		spoil(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("got %v, want an error that names %s", err, flag)
		}
	}
}

func TestTable_ShowsMeasuresAndNotes(t *testing.T) {
	space, err := fleet.NewWorkspace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := &bench{options: defaults(), space: space, kills: []float64{1000}}
	var out bytes.Buffer
	if err := printTable(&out, b.document(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 KiB append and fdatasync 1.00 ms", "failover_p99_ms", report.Thousands(1000), "- Failover: 5 voters"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
