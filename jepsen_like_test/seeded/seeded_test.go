package seeded

import (
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
)

// Each bug is found where its hunts look, and nothing is found without it.
func TestSeeded(t *testing.T) {
	if !*seededFlag {
		t.Skip("not asked for: -seeded")
	}
	h := hunter(t)
	for _, b := range Bugs {
		if *bugFlag != "" && *bugFlag != b.Name {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			if len(b.Hunts) == 0 {
				t.Skip("nobody looks for it yet")
			}
			for _, hunt := range b.Hunts {
				var took []time.Duration
				for range *timesFlag {
					took = append(took, h.find(t, b, hunt, *runsFlag).Took)
				}
				slices.Sort(took)
				t.Logf("%q in %s %v: median of %d: %v [%v..%v]", b.Name, hunt.Tests, hunt.Args, len(took),
					took[len(took)/2].Round(100*time.Millisecond), took[0].Round(100*time.Millisecond), took[len(took)-1].Round(100*time.Millisecond))
				h.findNothing(t, b, hunt, 1)
			}
		})
	}
}

type testHunter struct{ *Hunter }

func hunter(t *testing.T) testHunter {
	t.Helper()
	h, err := NewHunter(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return testHunter{h}
}

func (h testHunter) find(t *testing.T, b Bug, hunt Hunt, runs int) (c Catch) {
	t.Helper()
	c = h.run(t, b, hunt, runs)
	if c.Found == nil {
		t.Errorf("%s (%s): %v", b.Name, b.Wrong, c)
	}
	return c
}

// findNothing is the same without the bug.
func (h testHunter) findNothing(t *testing.T, b Bug, hunt Hunt, runs int) {
	t.Helper()
	b.Name = ""
	c := h.run(t, b, hunt, runs)
	if c.Found != nil || c.Bit > 0 || len(c.Other) > 0 {
		t.Errorf("without a bug: %v", c)
	}
}

func (h testHunter) run(t *testing.T, b Bug, hunt Hunt, runs int) Catch {
	t.Helper()
	c, err := h.Run(t.Context(), b, hunt, runs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%q in %s of %s: %v", b.Name, hunt.Tests, hunt.Package, c)
	for _, end := range c.Other {
		t.Logf("a run that failed otherwise ended with:\n%s", end)
	}
	return c
}

func TestViolation_IsOnlyWhatACheckerSays(t *testing.T) {
	const report = `=== RUN   TestLinear_Paused
    linearrun_test.go:102: 700 writes, 500 reads in 4 channels; searched for 20ms; 2 violations
          not linearizable: operation 812: no order explains read of room-1
          diverged: at index 90 a has state 1234 and b has state 5678
    linearrun_test.go:119: 2 violations, the first: not linearizable: operation 812: no order explains read of room-1
--- FAIL: TestLinear_Paused (20.15s)
`
	const trial = `=== RUN   TestRun
    run_test.go:48: set: 5m0s of life, 7 faults seen, 3 leaders in 4 terms
          90 adds, 70 leaves, 40 reads acknowledged; 2 violations
          VIOLATION not whole 2m0s after isolate was mended: connector-1 is not ready
          VIOLATION diverged: at index 90 a has state 1234 and b has state 5678
    run_test.go:55: 2 violations
--- FAIL: TestRun (9.15s)
`
	for name, test := range map[string]struct {
		output string
		kinds  []checker.Kind
		want   checker.Kind
	}{
		"the first":                 {report, []checker.Kind{checker.NotLinearizable}, checker.NotLinearizable},
		"another kind":              {report, []checker.Kind{checker.Lost}, ""},
		"one of a trial's":          {trial, []checker.Kind{checker.Lost, checker.Diverged}, checker.Diverged},
		"a trial of another kind":   {trial, []checker.Kind{checker.Lost}, ""},
		"a passing run":             {"x_test.go:1: 9 writes; 0 violations\n--- PASS: TestX (1.00s)\nPASS\n", []checker.Kind{checker.Lost}, ""},
		"a run that did too little": {"x_test.go:1: too little was done for the run to count: 0 violations\n--- FAIL: TestX\n", []checker.Kind{checker.Lost}, ""},
		"a crash":                   {"panic: lost: oh\n\ngoroutine 1 [running]:\n", []checker.Kind{checker.Lost}, ""},
		"a timeout":                 {"panic: test timed out after 5m0s\n", []checker.Kind{checker.Lost}, ""},
		"a log":                     {"    lost: operation 3: somebody\n", []checker.Kind{checker.Lost}, ""},
		"a search that took too long": {
			"y: 1 violations, the first: undecided: no verdict after 1m0s\n", []checker.Kind{checker.NotLinearizable}, "",
		},
	} {
		got := violation(test.output, test.kinds)
		if got == nil && test.want == "" {
			continue
		}
		if got == nil || got.Kind != test.want {
			t.Errorf("%s: got %v, want kind %q", name, got, test.want)
		}
	}
}
