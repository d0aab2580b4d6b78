package push

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptions_ValidateNamesTheFlag(t *testing.T) {
	if err := defaults().validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for flag, spoil := range map[string]func(*Options){
		"--only":       func(o *Options) { o.Only = []string{"wire", "wires"} },
		"--redis-pool": func(o *Options) { o.Pool = 0 },
		"--runs":       func(o *Options) { o.Runs = 0 },
		"--duration":   func(o *Options) { o.Duration = 0 },
		"--duration ":  func(o *Options) { o.Duration = mostDuration + 1 },
		"--warm-up":    func(o *Options) { o.WarmUp = -1 },
		"--frontends":  func(o *Options) { o.Frontends = 1 },
		"--frontends ": func(o *Options) { o.Frontends = mostFrontends + 1 },
		"--scale":      func(o *Options) { o.Scale = 0 },
		"--scale ":     func(o *Options) { o.Scale = 1.5 },
		"--churn":      func(o *Options) { o.Churn = 0 },
		"--rate":       func(o *Options) { o.Rate = mostRate + 1 },
	} {
		o := defaults()
		spoil(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(flag)) {
			t.Errorf("got %v, want an error that names %s", err, flag)
		}
	}
}

func TestOptions_BothWaysTakeTurns(t *testing.T) {
	o := defaults()
	if got := o.ways(0); !slices.Equal(got, []string{server.ByNode}) {
		t.Errorf("without Redis: got %v", got)
	}
	o.Redis = "127.0.0.1:6379"
	if got, want := o.ways(0), []string{server.ByNode, server.ByAncestor}; !slices.Equal(got, want) {
		t.Errorf("first run: got %v, want %v", got, want)
	}
	if got, want := o.ways(1), []string{server.ByAncestor, server.ByNode}; !slices.Equal(got, want) {
		t.Errorf("second run: got %v, want %v", got, want)
	}
}

func TestCases_AreEachOnceAndOfAKnownShape(t *testing.T) {
	seen := make(map[Case]bool)
	for _, cases := range []func(string) []Case{latencyCases, rateCases, largeCases, wireCases, churnCases} {
		for _, by := range []string{server.ByNode, server.ByAncestor} {
			for _, k := range cases(by) {
				if seen[k] {
					t.Errorf("%v is there twice", k)
				}
				seen[k] = true
				if s := k.shape(); s.each == 0 || k.Channels > s.channels {
					t.Errorf("%v is of %+v", k, s)
				}
			}
		}
	}
}

// tallied are two frontends and the pusher after so many pushes.
func tallied(pushes, failed, deliveries, uids uint64) counts {
	half := server.Tally{Deliveries: deliveries / 2, UIDs: uids / 2}
	return counts{
		pusher:    server.Tally{Pushes: pushes, Failed: failed},
		frontends: []server.Tally{half, {Deliveries: deliveries - half.Deliveries, UIDs: uids - half.UIDs}},
	}
}

func TestCheck_WhatWasPushedIsWhatWasDelivered(t *testing.T) {
	const frontends, members = 2, 10
	before := tallied(3, 1, 6, 30)
	for name, c := range map[string]struct {
		after counts
		spare int
		right bool
	}{
		"all":                              {tallied(5, 1, 10, 50), 0, true},
		"one uid is missing":               {tallied(5, 1, 10, 49), 0, false},
		"one uid too many":                 {tallied(5, 1, 10, 51), 0, false},
		"one delivery is missing":          {tallied(5, 1, 9, 50), 0, false},
		"one delivery came twice":          {tallied(5, 1, 11, 50), 0, false},
		"a push failed and came nowhere":   {tallied(5, 2, 10, 50), 0, true},
		"a push failed and came through":   {tallied(5, 2, 12, 60), 0, true},
		"a push failed and came twice":     {tallied(5, 2, 14, 70), 0, false},
		"late members":                     {tallied(5, 1, 10, 54), 2, true},
		"more late members than there are": {tallied(5, 1, 10, 55), 2, false},
	} {
		if err := check(before, c.after, frontends, members, c.spare); (err == nil) != c.right {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSampleOf_IsWithoutWhatIsSpentIdle(t *testing.T) {
	at := func(seconds int, allocated, tcp, pushes, failed, deliveries uint64, cpu time.Duration) server.Tally {
		return server.Tally{
			At: time.Duration(seconds) * time.Second, CPU: cpu, Memory: meter.Memory{Allocated: allocated}, TCP: tcp,
			Pushes: pushes, Failed: failed, Deliveries: deliveries,
		}
	}
	from := counts{at(10, 1000, 500, 0, 0, 0, 0), []server.Tally{at(10, 0, 0, 0, 0, 0, 0), at(10, 0, 0, 0, 0, 0, 0)}, 10 * time.Second, 0}
	// Two seconds, 10 pushes to two frontends, of which one failed. A frontend was asked later.
	to := counts{at(12, 41_000, 20_500, 9, 1, 0, 10*time.Millisecond), []server.Tally{
		at(12, 20_000, 0, 0, 0, 10, 20*time.Millisecond), at(14, 44_000, 0, 0, 0, 20, 20*time.Millisecond),
	}, 12 * time.Second, time.Second}
	quiet := idle{spent{1000, 250}, []spent{{0, 0}, {1000, 0}}}
	k := Case{Counted: true}
	got := sampleOf(k, load.Result{Seconds: 2, P50us: 7, P99us: 9, Errors: 1, Error: "x"}, from, to, quiet)
	want := Sample{
		PushesPerS: 4.5, P50us: 7, P99us: 9, Errors: 1, Error: "x",
		Allocated: (40_000-2*1000)/20 + (20_000+44_000-4*1000)/30.,
		Wire:      (20_000-2*250)/20 - msgBytes,
		CPUus:     5000, Strangers: 47.5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sample (-want +got):\n%s", diff)
	}
	k.Counted = false
	if got := sampleOf(k, load.Result{}, from, to, quiet).Wire; got != 0 {
		t.Errorf("bytes that nobody counted: got %v", got)
	}
	to.pusher.Pushes, to.pusher.Failed = 0, 0
	if got := sampleOf(k, load.Result{}, from, to, quiet); got != (Sample{}) {
		t.Errorf("no pushes: got %+v", got)
	}
}

func TestIdle_IsTheLeastOfEachProcess(t *testing.T) {
	a := idle{spent{1, 20}, []spent{{1, 2}, {30, 4}}}
	b := idle{spent{10, 2}, []spent{{10, 2}, {3, 4}}}
	want := idle{spent{1, 2}, []spent{{1, 2}, {3, 4}}}
	if diff := cmp.Diff(want, a.orLess(b), cmp.AllowUnexported(idle{}, spent{})); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
}

// measured is a bench with samples of these cases.
func measured(runs int, by []string, sample func(run int, k Case) Sample, parts ...func(string) []Case) *bench {
	b := &bench{options: defaults(), log: &bytes.Buffer{}}
	for run := range runs {
		for _, cases := range parts {
			for _, way := range by {
				for _, k := range cases(way) {
					b.note(run, k, sample(run, k))
				}
			}
		}
	}
	return b
}

func TestMeasures_DivideWithinARunAndTakeTheBest(t *testing.T) {
	b := measured(3, []string{server.ByNode, server.ByAncestor}, func(run int, k Case) Sample {
		s := Sample{PushesPerS: 1000 * float64(run+1), P50us: 1000, P99us: 4000, Allocated: 2000, Wire: 300, ChangesPS: 90}
		if k.By == server.ByAncestor {
			s = Sample{PushesPerS: 100, P50us: 2000 * float64(run+1), P99us: 8000, Wire: 9000}
		}
		if k.Shape == large.name && k.Callers == 64 { // better for one way, worse for the other
			s.PushesPerS, s.ChangesPS = 200, 50
		}
		if k.Counted && k.Callers == 64 {
			s.Wire = 100
		}
		return s
	}, latencyCases, rateCases, largeCases, wireCases, churnCases)
	b.stalls = []Stall{
		{Calm: load.Result{P99us: 1000}, Stalled: load.Result{P99us: 1500, Errors: 1}, Objects: 3, Resident: 4, Recovery: 0.5},
		{Calm: load.Result{P99us: 1000}, Stalled: load.Result{P99us: 1100}, Objects: 5, Resident: 4, Recovery: 0.5},
	}
	got := b.measures()
	want := map[string]stats.Spread{
		"latency_10x100_vs_redis":     {Median: 0.25, Min: 1. / 6, Max: 0.5},
		"latency_10x100_p99_vs_redis": {Median: 0.5, Min: 0.5, Max: 0.5},
		"latency_10x100_p50_ms":       {Median: 1, Min: 1, Max: 1},
		"latency_10x100_p99_ms":       {Median: 4, Min: 4, Max: 4},
		"rate_10x100_vs_redis":        {Median: 20, Min: 10, Max: 30},
		"rate_10x100_shared_vs_redis": {Median: 20, Min: 10, Max: 30},
		"rate_10x100_per_s":           {Median: 2000, Min: 1000, Max: 3000},
		"rate_10x100_shared_per_s":    {Median: 2000, Min: 1000, Max: 3000},
		"rate_10x10000_vs_redis":      {Median: 10, Min: 5, Max: 15},
		"rate_10x10000_per_s":         {Median: 2000, Min: 1000, Max: 3000},
		"rate_10x10000_churn_vs_redis": {
			Median: 10, Min: 5, Max: 15,
		},
		"rate_10x10000_churn_per_s":          {Median: 2000, Min: 1000, Max: 3000},
		"churn_changes_per_s":                {Median: 90, Min: 90, Max: 90},
		"wire_bytes_per_frontend_100k":       {Median: 300, Min: 300, Max: 300},
		"wire_bytes_per_frontend_100k_64":    {Median: 100, Min: 100, Max: 100},
		"wire_bytes_per_frontend_100k_redis": {Median: 9000, Min: 9000, Max: 9000},
		"alloc_bytes_per_frontend":           {Median: 2000, Min: 2000, Max: 2000},
		"alloc_bytes_per_frontend_64":        {Median: 2000, Min: 2000, Max: 2000},
		"stalled_p99_ratio":                  {Median: 1.3, Min: 1.1, Max: 1.5},
		"stalled_p99_ms":                     {Median: 1.3, Min: 1.1, Max: 1.5},
		"stalled_calm_p99_ms":                {Median: 1, Min: 1, Max: 1},
		"stalled_errors":                     {Median: 0.5, Min: 0, Max: 1},
		"stalled_memory_mb":                  {Median: 4, Min: 3, Max: 5},
		"stalled_resident_mb":                {Median: 4, Min: 4, Max: 4},
		"stalled_recovery_s":                 {Median: 0.5, Min: 0.5, Max: 0.5},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(near)); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestMeasures_AreAbsentWhereNothingWasMeasured(t *testing.T) {
	b := measured(1, []string{server.ByNode}, func(int, Case) Sample { return Sample{PushesPerS: 1} }, wireCases)
	got := slices.Sorted(maps.Keys(b.measures()))
	want := []string{"wire_bytes_per_frontend_100k", "wire_bytes_per_frontend_100k_64"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
}

func TestDocument_HasRowsAndMeasuresAlsoWhenEmpty(t *testing.T) {
	var out bytes.Buffer
	if err := report.PrintJSON(&out, (&bench{options: defaults()}).document(0)); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if string(got["rows"]) != "[]" || string(got["measures"]) != "{}" || string(got["stalls"]) != "[]" {
		t.Errorf("got rows %s, measures %s and stalls %s, want empty ones", got["rows"], got["measures"], got["stalls"])
	}
}

func TestTable_ShowsErrorsAndWhatWasScaled(t *testing.T) {
	b := measured(2, []string{server.ByNode, server.ByAncestor}, func(run int, k Case) Sample {
		return Sample{PushesPerS: float64(100 + run), ChangesPS: 99.5, Errors: 2, Error: "unreachable"}
	}, churnCases)
	b.options.Scale, b.redisVersion = 0.5, "7.0"
	var out bytes.Buffer
	if err := printTable(&out, b.document(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"10x10000, changing 99.5/s", "4 ERRORS: unreachable", "[100..101]", "rate_10x10000_churn_vs_redis", "Redis 7.0", "SCALED by 0.5"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
