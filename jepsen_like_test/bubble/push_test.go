package bubble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

const (
	frontends = "connector" // their type
	others    = "chat"
	reapAfter = 5 * time.Second
)

var (
	voters  = []string{"v1", "v2", "p2"}
	targets = []string{"f1", "f2", "f3"}
	callers = []string{"p1", "p2", "f3", "v1"} // two workers each; f3 pushes to itself, too
)

// run is one run of a cluster.
type run struct {
	t       *testing.T
	seed    uint64
	fleet   *nodetest.Fleet
	history *history.Recorder
	servers map[string]*server
	leaders map[uint64]bool // terms in which somebody led, between faults
}

// start starts the cluster and waits until everybody is registered.
func start(t *testing.T, ctx context.Context, seed uint64) *run {
	r := &run{t: t, seed: seed, history: history.NewRecorder(), servers: make(map[string]*server), leaders: make(map[uint64]bool)}
	begun := make(map[string]*process)
	var cfgs []node.Config
	for _, sid := range slices.Concat(voters, targets, []string{"p1"}) {
		cfg := node.Config{SID: sid, SType: others, Cluster: node.Settings{ReapAfter: reapAfter}}
		cfg.NonVoter = !slices.Contains(voters, sid)
		if slices.Contains(targets, sid) {
			cfg.SType = frontends
		}
		s := &server{cfg: cfg, history: r.history}
		r.servers[sid] = s
		begun[sid], cfg = s.begin(seed)
		cfgs = append(cfgs, cfg)
	}
	r.fleet = nodetest.Cluster(t, cfgs...)
	r.fleet.SetLatency(time.Millisecond)
	r.fleet.WaitReady(ctx)
	for sid, p := range begun {
		r.servers[sid].runs(p, r.fleet.Node(sid))
	}
	r.fleet.WaitEqual(ctx)
	return r
}

// load starts the workers; stop ends them and waits.
func (r *run) load(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i, sid := range slices.Concat(callers, callers) {
		w := &worker{
			server: r.servers[sid], number: i + 1, targets: targets, history: r.history, rnd: rand.New(rand.NewPCG(r.seed, uint64(i))),
		}
		group.Go(func() { w.run(ctx) })
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// whole demands that after everything pushes reach everybody again.
func (r *run) whole(ctx context.Context) {
	r.fleet.WaitReady(ctx)
	r.fleet.WaitEqual(ctx)
	for _, sid := range callers {
		n := r.servers[sid].process(ctx).node
		for _, target := range targets {
			if err := n.Add(ctx, "epilogue", "from-"+sid, target); err != nil {
				r.t.Fatalf("%s, after everything: %v", sid, err)
			}
		}
		r.fleet.Eventually(ctx, func() error {
			result, err := n.PushMessage(ctx, frontends, "route", nil, "epilogue", node.PushOptions{})
			if err != nil || !result.OK() || len(result.Servers) != len(targets) {
				return fmt.Errorf("%s pushes, after everything: %w %+v", sid, err, result)
			}
			return nil
		})
	}
}

// inBubble is a run of that seed, up to its history.
func inBubble(t *testing.T, seed uint64) (events []history.Event, terms int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		r := start(t, ctx, seed)
		stop := r.load(ctx)
		r.hurt(ctx, rand.New(rand.NewPCG(seed, 1000)))
		stop()
		pause(ctx, 4*time.Second) // what nobody waits for any more, and the slowest handler
		events, terms = r.history.Events(), len(r.leaders)
		r.whole(ctx)
	})
	return events, terms
}

func seeds() []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	list := make([]uint64, *runsFlag)
	for i := range list {
		list[i] = rand.Uint64()
	}
	return list
}

// P8, while frontends die, come back, are isolated, cut one way and left behind, and
// leaders change, and the members of the channels change all the time.
func TestPush_KeepsItsPromisesUnderFaults(t *testing.T) {
	for i, seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			events, terms := inBubble(t, seed)
			r, err := checker.CheckPushes(events)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d leaders; %v", terms, r)
			if len(r.Violations) > 0 {
				t.Errorf("%d violations, the first: %v", len(r.Violations), r.Violations[0])
			}
			if r.Delivered < 200 || r.NotDelivered == 0 || r.Open < 10 || r.Owed == r.Reached || r.Reached < 200 || r.Left < 200 || r.Ordered < 100 || r.Restarted == 0 || terms < 2 {
				t.Error("too little was done for the run to count")
			}
			if i == 0 && !t.Failed() {
				seesPlantedFaults(t, events)
			}
			if t.Failed() {
				keep(t, seed, events)
			}
		})
	}
}

// keep leaves the history of a failed run.
func keep(t *testing.T, seed uint64, events []history.Event) {
	t.Helper()
	t.Logf("once more: go test -race -count=1 -run '^TestPush_KeepsItsPromisesUnderFaults$' ./jepsen_like_test/bubble -seed=%d", seed)
	f, err := os.CreateTemp("", "jepsen-like-pushes-*.jsonl")
	if err != nil {
		t.Error(err)
		return
	}
	if err := errors.Join(history.WriteTo(f, events), f.Close()); err != nil {
		t.Error(err)
	}
	t.Log("history: ", f.Name())
}
