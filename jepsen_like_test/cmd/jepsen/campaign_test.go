package main

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// Every kind of fault has its turn, and those that need it get servers that take
// snapshots often.
func TestDice_ThrowAllAlike(t *testing.T) {
	all := nemesis.All()
	d := &dice{far: true, rnd: rand.New(rand.NewPCG(1, 1)), workloads: trial.Workloads(true), nemeses: all}
	thrown, latencies, often := make(map[string]int), make(map[time.Duration]int), 0
	for range 20 * len(all) / kinds {
		s := d.throw()
		for _, name := range s.Nemeses {
			thrown[name]++
			n, err := nemesis.Named(name)
			if err != nil || n[0].Snapshots && !s.Often {
				t.Fatalf("%v: %v", s, err)
			}
		}
		latencies[s.Latency]++
		if s.Often {
			often++
		}
	}
	for _, n := range nemesis.All() {
		if thrown[n.Name] < 19 || thrown[n.Name] > 21 {
			t.Errorf("%s was thrown %d times of 20", n.Name, thrown[n.Name])
		}
	}
	if len(latencies) < 3 {
		t.Errorf("the latencies are %v, want three", latencies)
	}
	if often == 0 {
		t.Error("nobody takes snapshots often")
	}
}

func TestTable_HoldsSimulatedTimesToPromises(t *testing.T) {
	late := slices.Concat(slices.Repeat([]time.Duration{time.Second}, 290), slices.Repeat([]time.Duration{4 * time.Second}, 10))
	for _, tt := range []struct {
		simulated bool
		latency   time.Duration
		took      []time.Duration
		want      int
	}{
		{true, nemesis.Near, late, 1},
		{true, nemesis.Near + 1, late, 0},
		{false, 0, late, 0},    // it may have been the machine
		{true, 0, late[2:], 0}, // too few to tell
		{true, 0, slices.Repeat(late[:290], 2), 0},
		{true, 0, slices.Repeat([]time.Duration{3 * time.Second}, 300), 1}, // p50
	} {
		s := trial.Spec{Simulated: tt.simulated, Workload: "set", Latency: tt.latency}
		table := &table{began: time.Now()}
		table.add(s, &trial.Result{Spec: s, Times: trial.Times{nemesis.Outage.Name: tt.took}}, nil)
		if got := table.late(); len(got) != tt.want {
			t.Errorf("simulated %v, %v: late are %q, want %d", tt.simulated, tt.took, got, tt.want)
		}
		if text := table.String(); !strings.Contains(text, nemesis.Outage.Name) || !strings.Contains(text, "p50 2s, p99 3.5s") {
			t.Errorf("no times in\n%s", text)
		}
	}
}

func TestTable_TellsWhatCounts(t *testing.T) {
	s := trial.Spec{Workload: "set", Nemeses: []string{"wiped", "ring"}, Seed: 5, Time: time.Minute}
	table := &table{began: time.Now()}
	table.add(s, &trial.Result{Spec: s, Checked: 1000, Lived: time.Hour, Leaders: 7, Faults: map[string]trial.Fault{"wiped": {Seen: 3}, "ring": {Seen: 2, Unseen: []string{"why"}}}}, nil)
	table.add(s, &trial.Result{Spec: s, Checked: 9, Lived: time.Hour, Invalid: []string{"too little"}}, nil)
	table.add(s, &trial.Result{Spec: s, Checked: 10, Violations: []string{"lost: somebody"}, Dir: "folder"}, nil)
	table.add(s, nil, errors.New("no cluster"))
	text := table.String()
	for _, want := range []string{
		"4 runs in 0s: 2 count, 2 do not; 1010 operations checked, 5 faults seen, 7 leaders, 1.0 hours", "1 violations",
		"lost: somebody", s.Command(), "folder", "too little", "no cluster",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
