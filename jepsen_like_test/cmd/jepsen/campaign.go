package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// campaign runs random pairs of workloads and nemeses, several side by side.
func campaign(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("campaign", flag.ContinueOnError)
	simulated := f.Bool("sim", false, "in simulated time, instead of real processes")
	workloads := f.String("workload", "", "those to choose from; default: all")
	nemeses := f.String("nemesis", "processes,network,disks,members", "names or families to choose from")
	lasts := f.Duration("time", time.Hour, "until no more runs are begun, on the wall")
	each := f.Duration("each", 0, "of the cluster's life in a run; default: 15m simulated, 40s real")
	calm := f.Float64("calm", 1, calmUsage)
	side := f.Int("side-by-side", 2, "how many at a time")
	seed := f.Uint64("seed", 0, "the runs follow from it; 0: others each time")
	log := f.String("log", "", "a file to which each result is added, one JSON object a line")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if *each == 0 {
		*each = 40 * time.Second
		if *simulated {
			*each = 15 * time.Minute
		}
	}
	if *workloads == "" {
		*workloads = strings.Join(trial.Workloads(*simulated), ",")
	}
	d, err := newDice(*simulated, *seed, strings.Split(*workloads, ","), strings.Split(*nemeses, ","))
	if err != nil {
		return err
	}
	tools, err := build(ctx, *simulated)
	if err != nil {
		return err
	}
	defer tools.remove()
	t := &table{began: time.Now()}
	if *log != "" {
		if t.log, err = os.OpenFile(*log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
		defer t.log.Close()
	}
	fmt.Printf("seed %d, %d side by side, until %s\n", *seed, *side, time.Now().Add(*lasts).Format(time.TimeOnly))
	var wg sync.WaitGroup
	for range *side {
		wg.Go(func() {
			for time.Since(t.began) < *lasts && ctx.Err() == nil {
				s := d.throw()
				s.Time, s.Calm = *each, *calm
				r, err := tools.run(ctx, s, "")
				if ctx.Err() == nil {
					t.add(s, r, err)
				}
			}
		})
	}
	wg.Wait()
	fmt.Print(t)
	late := t.late()
	for _, l := range late {
		fmt.Println("late:", l)
	}
	switch {
	case t.violations > 0 || len(late) > 0:
		return errFound
	case t.valid == 0:
		return errors.New("no run counts")
	}
	return nil
}

// dice choose what runs: each run has three kinds of faults, those first that were
// chosen least.
type dice struct {
	simulated bool
	far       bool // servers may be far from each other

	mu        sync.Mutex // guards all below
	rnd       *rand.Rand
	workloads []string
	nemeses   []nemesis.Nemesis
	thrown    int
}

func newDice(simulated bool, seed uint64, workloads, nemeses []string) (*dice, error) {
	named, err := nemesis.Named(nemeses...)
	if err != nil {
		return nil, err
	}
	d := &dice{simulated: simulated, far: simulated, rnd: rand.New(rand.NewPCG(seed, 0)), workloads: workloads, nemeses: named}
	if simulated {
		d.nemeses = slices.DeleteFunc(named, func(n nemesis.Nemesis) bool { return n.Stops })
	} else if err := switchnet.Able(); err != nil {
		fmt.Println("no network of its own for each server:", err)
	} else {
		d.far = true
	}
	return d, nil
}

const kinds = 3

// latencies are those of one data centre, of one continent, and of two: the slower, the
// more is under way when a fault begins.
var latencies = []time.Duration{0, 15 * time.Millisecond, 60 * time.Millisecond}

func (d *dice) throw() trial.Spec {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := trial.Spec{Simulated: d.simulated, Workload: d.workloads[d.rnd.IntN(len(d.workloads))], Seed: d.rnd.Uint64(), Often: d.rnd.IntN(3) == 0}
	if d.far {
		s.Latency = latencies[d.rnd.IntN(len(latencies))]
	}
	for range min(kinds, len(d.nemeses)) {
		if d.thrown%len(d.nemeses) == 0 {
			d.rnd.Shuffle(len(d.nemeses), func(i, j int) { d.nemeses[i], d.nemeses[j] = d.nemeses[j], d.nemeses[i] })
		}
		n := d.nemeses[d.thrown%len(d.nemeses)]
		s.Often = s.Often || n.Snapshots
		s.Nemeses = append(s.Nemeses, n.Name)
		d.thrown++
	}
	return s
}
