package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

const calmUsage = "clients and nemeses rest so many times as long: above 1 there is more of a cluster's life in the same time, below it more in flight"

// specFlags fill in a spec.
func specFlags(f *flag.FlagSet) func() trial.Spec {
	var s trial.Spec
	f.BoolVar(&s.Simulated, "sim", false, "in simulated time, instead of real processes")
	f.StringVar(&s.Workload, "workload", "set", "what clients do: "+strings.Join(trial.Workloads(true), ", "))
	nemeses := f.String("nemesis", "processes", "what hurts: names or families (processes, network, disks, members), separated by commas")
	f.BoolVar(&s.Often, "snapshots-often", false, "servers take snapshots all the time")
	f.Float64Var(&s.Calm, "calm", 1, calmUsage)
	f.DurationVar(&s.Latency, "latency", 0, "from server to server, one way; 0: what there is, simulated that of one data centre")
	f.Uint64Var(&s.Seed, "seed", 0, "what clients and nemeses do follows from it; 0: another one each time")
	f.DurationVar(&s.Time, "time", 2*time.Minute, "of the cluster's life, about")
	return func() trial.Spec {
		s.Nemeses = strings.Split(*nemeses, ",")
		if s.Seed == 0 {
			s.Seed = rand.Uint64()
		}
		return s
	}
}

func runOne(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	spec := specFlags(f)
	dir := f.String("dir", "", "for what the run leaves if it fails; default: a new folder in the temporary directory")
	if err := f.Parse(args); err != nil {
		return err
	}
	tools, err := build(ctx, spec().Simulated)
	if err != nil {
		return err
	}
	defer tools.remove()
	return tools.report(tools.run(ctx, spec(), *dir))
}

// report prints the result.
func (t *tools) report(r *trial.Result, err error) error {
	if err != nil {
		return err
	}
	fmt.Println(r)
	if len(r.Violations) > 0 {
		return errFound
	}
	if !r.Valid() {
		return errors.New("the run does not count")
	}
	return nil
}

// repeat runs the spec of a folder until it fails again.
func repeat(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("repeat", flag.ContinueOnError)
	tries := f.Int("tries", 20, "at most")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("repeat takes the folder that a failed run left")
	}
	spec, err := trial.SpecIn(f.Arg(0))
	if err != nil {
		return err
	}
	tools, err := build(ctx, spec.Simulated)
	if err != nil {
		return err
	}
	defer tools.remove()
	for i := range *tries {
		r, err := tools.run(ctx, spec, "")
		if err != nil {
			return err
		}
		fmt.Printf("try %d: %v\n", i+1, r)
		if len(r.Violations) > 0 {
			return errFound
		}
	}
	return nil
}

func list(context.Context, []string) error {
	fmt.Println("workloads:", strings.Join(trial.Workloads(true), ", "))
	fmt.Println("nemeses:")
	for _, n := range nemesis.All() {
		fmt.Fprintf(os.Stdout, "  %-10s %s\n", n.Family, n.Name)
	}
	return nil
}
