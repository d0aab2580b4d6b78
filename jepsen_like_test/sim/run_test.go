package sim

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
	"github.com/pofresh/globalchannel/node"
)

var (
	workloadFlag = flag.String("workload", "", "of TestRun; default: all, one after the other")
	nemesisFlag  = flag.String("nemesis", "processes,network,disks,members", "of TestRun: names or families, separated by commas")
	seedFlag     = flag.Uint64("seed", 0, "what clients and nemeses do follows from it; 0: another one each time")
	oftenFlag    = flag.Bool("snapshots-often", false, "of TestRun: told by cmd/jepsen of its build")
	calmFlag     = flag.Float64("calm", 1, "of TestRun: clients and nemeses rest so many times as long")
	latencyFlag  = flag.Duration("latency", 0, "of TestRun: of the network, one way; 0 is that of one data centre")
	timeFlag     = flag.Duration("time", smoke, "of TestRun: of the cluster's life, about")
	dirFlag      = flag.String("dir", "", "for what a failed run leaves; default: a new folder in the temporary directory")
	resultFlag   = flag.String("result", "", "of TestRun: a file for its result, as JSON")
)

// TestRun is one run of each workload, or of the one that is named; cmd/jepsen names one.
func TestRun(t *testing.T) {
	if *seedFlag == 0 {
		*seedFlag = rand.Uint64()
	}
	if *workloadFlag != "" {
		judged(t, *workloadFlag)
		return
	}
	for _, workload := range trial.Workloads(true) {
		t.Run(workload, func(t *testing.T) { judged(t, workload) })
	}
}

func judged(t *testing.T, workload string) {
	t.Helper()
	spec := trial.Spec{Simulated: true, Workload: workload, Nemeses: strings.Split(*nemesisFlag, ","), Often: *oftenFlag, Calm: *calmFlag, Latency: *latencyFlag, Seed: *seedFlag, Time: *timeFlag}
	result, _ := run(t, spec)
	t.Log(result)
	if *resultFlag != "" {
		if err := result.Write(*resultFlag); err != nil {
			t.Fatal(err)
		}
	}
	if len(result.Violations) > 0 {
		t.Errorf("%d violations", len(result.Violations))
	}
	if !result.Valid() {
		t.Error("the run does not count")
	}
}

// run is a run in a bubble of its own.
func run(t *testing.T, spec trial.Spec) (result *trial.Result, events []history.Event) {
	t.Helper()
	began := time.Now()
	var judge func() *trial.Result
	var logs map[string]string
	synctest.Test(t, func(t *testing.T) {
		h := history.NewRecorder()
		rnd := rand.New(rand.NewPCG(spec.Seed, 0))
		shape := shapes[rnd.IntN(len(shapes))]
		c := New(t, Options{
			Voters: shape[0], NonVoters: shape[1], Seed: spec.Seed, Latency: spec.Latency, Presence: spec.Workload == trial.Sessions, History: h,
			Settings: node.Settings{ReapAfter: nemesis.ReapAfter, MaxVoters: shape[0] + 2}, // two may join
		})
		var err error
		if judge, err = trial.Run(t.Context(), spec, c, h); err != nil {
			t.Fatal(err)
		}
		events, logs = h.Events(), c.Logs()
	})
	if result = judge(); len(result.Violations) > 0 || *dirFlag != "" {
		dir, _, err := trial.Folder(*dirFlag)
		if err != nil {
			t.Fatal(err)
		}
		if err := result.Keep(dir, events, logs); err != nil {
			t.Error(err)
		}
	}
	result.Took = time.Since(began) // in the bubble it would be the cluster's
	return result, events
}

// shapes are voters and non-voters.
var shapes = [][2]int{{3, 1}, {3, 2}, {5, 0}}
