package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// table sums up a campaign.
type table struct {
	began time.Time
	log   *os.File

	mu                             sync.Mutex // guards all below
	valid, invalid, violations     int
	checked, faults, leaders, runs int
	lived                          time.Duration
	byWorkload                     map[string]*row
	byNemesis                      map[string]*row
	times                          map[timed][]time.Duration
	broken, doubtful               []string
}

// row is one workload or nemesis.
type row struct{ runs, valid, checked, seen, unseen, violations int }

func (t *table) add(s trial.Spec, r *trial.Result, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	if err != nil {
		t.invalid++
		t.doubtful = append(t.doubtful, fmt.Sprintf("%s: %v", s.Command(), err))
		fmt.Printf("%4d  no verdict: %v\n      %s\n", t.runs, err, s.Command())
		return
	}
	if t.byWorkload == nil {
		t.byWorkload, t.byNemesis = make(map[string]*row), make(map[string]*row)
		t.times = make(map[timed][]time.Duration)
	}
	for name, took := range r.Times {
		key := timed{name, s.Latency, s.Simulated}
		t.times[key] = append(t.times[key], took...)
	}
	w := at(t.byWorkload, s.Workload)
	w.runs++
	w.checked += r.Checked
	w.violations += len(r.Violations)
	for name, f := range r.Faults {
		n := at(t.byNemesis, name)
		n.runs++
		n.seen += f.Seen
		n.unseen += len(f.Unseen)
		n.violations += len(r.Violations)
	}
	w.seen += r.Seen()
	if r.Valid() {
		t.lived += r.Lived
		t.leaders += r.Leaders
		t.valid++
		w.valid++
		t.checked += r.Checked
		t.faults += r.Seen()
	} else {
		t.invalid++
		t.doubtful = append(t.doubtful, fmt.Sprintf("%s: %s", s.Command(), strings.Join(r.Invalid, "; ")))
	}
	if len(r.Violations) > 0 {
		t.violations += len(r.Violations)
		t.broken = append(t.broken, fmt.Sprintf("%s\n    %s\n    %s", s.Command(), r.Violations[0], r.Dir))
	}
	fmt.Printf("%4d  %-8s %-50s %6d checked %3d faults %3d leaders %6v in %5v  %s\n", t.runs, s.Workload, strings.Join(s.Nemeses, ","),
		r.Checked, r.Seen(), r.Leaders, r.Lived.Round(time.Second), r.Took.Round(100*time.Millisecond), verdict(r))
	if t.log != nil {
		if err := json.NewEncoder(t.log).Encode(r); err != nil {
			fmt.Fprintln(os.Stderr, "jepsen: write the log:", err)
		}
	}
}

// timed is what took its time, and where.
type timed struct {
	promise   string
	latency   time.Duration
	simulated bool
}

// writeTimes compares what things took with what is promised.
func (t *table) writeTimes(w io.Writer) {
	fmt.Fprintln(w, "\ntook\tlatency\ttimes\tp50\tp99\tmost\tpromised, in simulated time")
	for _, p := range nemesis.Promises() {
		for _, k := range t.of(p) {
			took := t.times[k]
			fmt.Fprintf(w, "%s\t%v\t%d\t%v\t%v\t%v\t%s\n", p.Name, k.latency, len(took),
				rounded(took, 50), rounded(took, 99), rounded(took, 100), p)
		}
	}
}

// of is what there is of a promise.
func (t *table) of(p nemesis.Promise) (keys []timed) {
	for k := range t.times {
		if k.promise == p.Name {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b timed) int { return cmp.Compare(a.latency, b.latency) })
	return keys
}

func rounded(took []time.Duration, percent int) time.Duration {
	return nemesis.Percentile(took, percent).Round(time.Millisecond)
}

// enough is how many times it takes to speak of percentiles.
const enough = 300

// late are the promises about percentiles that were broken in simulated time.
func (t *table) late() (broken []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range nemesis.Promises() {
		for _, k := range t.of(p) {
			took := t.times[k]
			if k.simulated && k.latency <= nemesis.Near && len(took) >= enough && !p.Holds(took) {
				broken = append(broken, fmt.Sprintf("%s, latency %v: p50 %v, p99 %v, promised is %s", p.Name, k.latency, rounded(took, 50), rounded(took, 99), p))
			}
		}
	}
	return broken
}

func at(rows map[string]*row, name string) *row {
	if rows[name] == nil {
		rows[name] = new(row)
	}
	return rows[name]
}

func verdict(r *trial.Result) string {
	switch {
	case len(r.Violations) > 0:
		return fmt.Sprintf("%d VIOLATIONS: %s\n      once more: %s\n      in %s", len(r.Violations), r.Violations[0], r.Spec.Command(), r.Dir)
	case !r.Valid():
		return "does not count: " + strings.Join(r.Invalid, "; ")
	}
	return "ok"
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d runs in %v: %d count, %d do not; %d operations checked, %d faults seen, %d leaders, %.1f hours of clusters' life; %d violations\n\n",
		t.runs, time.Since(t.began).Round(time.Second), t.valid, t.invalid, t.checked, t.faults, t.leaders, t.lived.Hours(), t.violations)
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "workload\truns\tthat count\tchecked\tfaults\tviolations")
	for _, name := range slices.Sorted(maps.Keys(t.byWorkload)) {
		r := t.byWorkload[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", name, r.runs, r.valid, r.checked, r.seen, r.violations)
	}
	fmt.Fprintln(w, "\nnemesis\truns\tseen\tnot seen\tviolations in its runs")
	for _, name := range slices.Sorted(maps.Keys(t.byNemesis)) {
		r := t.byNemesis[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", name, r.runs, r.seen, r.unseen, r.violations)
	}
	t.writeTimes(w)
	_ = w.Flush()
	for _, list := range []struct {
		title string
		lines []string
	}{{"broken promises", t.broken}, {"runs that do not count", t.doubtful}} {
		if len(list.lines) > 0 {
			fmt.Fprintf(&b, "\n%s:\n  %s\n", list.title, strings.Join(list.lines, "\n  "))
		}
	}
	return b.String()
}
