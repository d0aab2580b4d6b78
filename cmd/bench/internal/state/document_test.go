package state

import (
	"bytes"
	"math"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

func TestOptions_ValidateNamesTheFlag(t *testing.T) {
	if err := defaults().validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for flag, spoil := range map[string]func(*Options){
		"--only":     func(o *Options) { o.Only = []string{"heap", "head"} },
		"--redis-db": func(o *Options) { o.RedisDB = -1 },
		"--runs":     func(o *Options) { o.Runs = 0 },
		"--scale":    func(o *Options) { o.Scale = 1.1 },
		"--duration": func(o *Options) { o.Duration = 0 },
		"--rate":     func(o *Options) { o.Rate = 999 },
	} {
		o := defaults()
		spoil(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("got %v, want an error that names %s", err, flag)
		}
	}
}

func TestDocument_HasMediansAndSpreads(t *testing.T) {
	b := tiny()
	b.dir = t.TempDir()
	for _, v := range []float64{3, 1, 2} {
		b.add("heap_bytes_small", v)
	}
	b.parts = []Part{{Name: "heap", Seconds: 7, StrangerCPU: 12}}
	d := b.document(time.Millisecond)
	if got := d.Measures["heap_bytes_small"]; got != 2 {
		t.Errorf("got %v, want the median 2", got)
	}
	if diff := cmp.Diff(stats.Spread{Median: 2, Min: 1, Max: 3}, d.Spreads["heap_bytes_small"]); diff != "" {
		t.Errorf("spread (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if err := printTable(&out, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2.00 [1.00..3.00]", "SCALED by 0.001", "Without --redis", "- private: 500,000 channels x 2 servers x 1 members, 200,000 players, each on one server of 10."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}

func TestPartNotes_EachPartHasSome(t *testing.T) {
	for _, name := range partNames() {
		if len(partNotes(name, defaults())) == 0 {
			t.Errorf("%s: nothing says what its figures are of", name)
		}
	}
}

func TestCollected_LongestIsOfTheDifference(t *testing.T) {
	buckets := []float64{math.Inf(-1), 0.001, 0.002, 0.004, math.Inf(1)}
	of := func(counts ...uint64) collected {
		return collected{pauses: &metrics.Float64Histogram{Counts: counts, Buckets: buckets}}
	}
	before := of(5, 1, 1, 0)
	for _, c := range []struct {
		after collected
		want  float64
	}{
		{of(5, 1, 1, 0), 0},
		{of(9, 2, 1, 0), 0.002},
		{of(5, 1, 1, 1), 0.004}, // the last bucket has no end
	} {
		if got := c.after.since(before).longest; got != c.want {
			t.Errorf("%v: got %v, want %v", c.after.pauses.Counts, got, c.want)
		}
	}
}
