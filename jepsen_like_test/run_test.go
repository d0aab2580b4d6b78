package jepsen_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// run is one run of a cluster: what a failed test leaves behind to find out why.
type run struct {
	t       *testing.T
	ctx     context.Context // bounds the whole test
	seed    uint64
	dir     string
	history *history.Recorder
	cluster *harness.Cluster
}

const (
	secret = "a secret of more than sixteen bytes"
	stype  = "connector"
	// patience is for a test whose faults take a second or two each on an idle machine.
	patience = 90 * time.Second
)

// connectors are n founding servers.
func connectors(n int) []harness.Spec {
	specs := make([]harness.Spec, n)
	for i := range specs {
		specs[i] = harness.Spec{SID: fmt.Sprintf("connector-%d", i+1), SType: stype, Founder: true}
	}
	return specs
}

// onDisk runs a test over both ways to keep a log in files, side by side: half of the time
// each waits for an election or a start.
func onDisk(t *testing.T, test func(t *testing.T, keep func([]harness.Spec) []harness.Spec)) {
	t.Helper()
	stores := []string{"boltdb", "wal"}
	if harness.Race() {
		stores = stores[:1] // it takes twice as long, and shows nothing of stores that the other run does not
	}
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			test(t, func(specs []harness.Spec) []harness.Spec {
				for i := range specs {
					specs[i].LogStore = store
				}
				return specs
			})
		})
	}
}

// start starts the servers and waits until they are ready. The whole test may take
// patience.
func start(t *testing.T, servers []harness.Spec) *run {
	t.Helper()
	return startPatiently(t, servers, patience)
}

func startPatiently(t *testing.T, servers []harness.Spec, patience time.Duration, options ...func(*harness.Options)) *run {
	t.Helper()
	r := prepare(t, patience)
	o := harness.Options{Servers: servers}
	for _, option := range options {
		option(&o)
	}
	r.begin(o)
	return r
}

// prepare is a run before there is a cluster.
func prepare(t *testing.T, patience time.Duration) *run {
	r := &run{t: t, seed: *seedFlag, history: history.NewRecorder()}
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return r
}

// begin starts a cluster with a secret, in a directory of its own, and waits until
// all servers are ready.
func (r *run) begin(o harness.Options) {
	r.t.Helper()
	var err error
	r.dir, err = os.MkdirTemp("", "jepsen-like-run-")
	r.must(err)
	o.Dir, o.Secret, o.History, o.Seed = r.dir, secret, r.history, r.seed
	r.cluster, err = harness.NewCluster(binary(), o)
	r.must(err)
	r.t.Cleanup(r.end)
	r.must(r.cluster.Start(r.ctx))
}

// in is the run as a subtest uses it.
func (r *run) in(t *testing.T) *run {
	sub := *r
	sub.t = t
	return &sub
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// end closes the cluster. Of a failed run everything is kept, and told.
func (r *run) end() {
	if err := r.cluster.Close(); err != nil {
		r.t.Error(err)
	}
	if !r.t.Failed() {
		r.must(os.RemoveAll(r.dir))
		return
	}
	race := ""
	if harness.Race() {
		race = "-race "
	}
	r.t.Logf("seed %d; once more: go test %s-count=1 -run '^%s$' ./jepsen_like_test -seed=%d", r.seed, race, r.t.Name(), r.seed)
	path := filepath.Join(r.dir, "history.jsonl")
	if err := writeHistory(path, r.history.Events()); err != nil {
		r.t.Error(err)
	}
	if err := r.cluster.WriteLogs(r.dir); err != nil {
		r.t.Error(err)
	}
	r.t.Logf("history: %s; logs and data directories are beside it", path)
	r.t.Log("\n" + r.cluster.Tails(25))
}

func writeHistory(path string, events []history.Event) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := history.WriteTo(f, events); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// brisk is the pause of clients that are to leave the servers some time.
const brisk = 5 * time.Millisecond

// load is a running workload.
type load struct {
	*workload.SetFull
	stop func() // and wait until every operation has returned
}

// load starts the set-full workload on those servers, with members on the sids;
// without any, on the servers themselves.
func (r *run) load(servers []*harness.Server, sids ...string) *load {
	l := &load{SetFull: &workload.SetFull{
		SIDs: sids, Workers: 4 * len(servers), Channels: 4, Seed: r.seed, Timeout: 3 * time.Second,
		Pause: brisk, History: r.history,
	}}
	for _, s := range servers {
		l.Servers = append(l.Servers, s)
	}
	l.stop = r.background(l.Run)
	return l
}

// background runs a workload; stop ends it and waits.
func (r *run) background(work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	r.t.Cleanup(stop)
	return stop
}

// await waits for n more acknowledged writes from each of the servers.
func (r *run) await(l *load, n int, servers []*harness.Server) {
	r.t.Helper()
	r.must(l.Await(r.ctx, n, sids(servers)...))
}

// verdict ends the load, reads everything everywhere, and checks the history.
func (r *run) verdict(l *load) checker.Report {
	r.t.Helper()
	l.stop()
	index, err := r.cluster.Settle(r.ctx)
	r.must(err)
	r.must(l.ReadAll(r.ctx, index, stype))
	report, err := checker.Check(r.history.Events())
	r.must(err)
	r.t.Log(report)
	if len(report.Violations) > 0 {
		r.t.Errorf("%d violations, the first: %v", len(report.Violations), report.Violations[0])
	}
	return report
}

func sids(servers []*harness.Server) []string {
	var out []string
	for _, s := range servers {
		out = append(out, s.SID)
	}
	return out
}
