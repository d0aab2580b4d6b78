package writes

import (
	"fmt"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// Options are the flags.
type Options struct {
	Redis  string // host:port; "": not measured
	Pool   int    // connections to it; 0: as many as calls outstanding
	Raft   bool
	Dir    string // where the data directories are made
	Format report.Format

	Stores      []string
	Outstanding []int
	Runs        int
	Duration    time.Duration // of one measurement
	WarmUp      time.Duration // before it

	Kills, Handovers, LagSamples int
}

const mostOutstanding = 50_000 // below what a node's outbox holds

// defaults are what the project's figures are measured with.
func defaults() Options {
	return Options{
		Stores: []string{"boltdb", "wal"}, Outstanding: []int{1, 50, 1000, 10_000},
		Runs: 3, Duration: 5 * time.Second, WarmUp: 1500 * time.Millisecond,
		Kills: 50, Handovers: 50, LagSamples: 200,
	}
}

func (o Options) validate() error {
	for _, s := range o.Stores {
		if s != "boltdb" && s != "wal" {
			return fmt.Errorf("--stores has %q; boltdb and wal are known", s)
		}
	}
	for _, n := range o.Outstanding {
		if n < 1 || n > mostOutstanding {
			return fmt.Errorf("--outstanding has %d; 1 to %d are allowed", n, mostOutstanding)
		}
	}
	switch {
	case len(o.Stores) == 0 || duplicates(o.Stores):
		return fmt.Errorf("--stores is %v; give each store once", o.Stores)
	case len(o.Outstanding) == 0 || duplicates(o.Outstanding):
		return fmt.Errorf("--outstanding is %v; give each number once", o.Outstanding)
	case o.Pool < 0:
		return fmt.Errorf("--redis-pool is %d; leave it 0 for one connection for each call", o.Pool)
	case o.Runs < 1:
		return fmt.Errorf("--runs is %d; at least 1 is needed", o.Runs)
	case o.Duration <= 0 || o.WarmUp < 0:
		return fmt.Errorf("--duration is %v and --warm-up %v; both are times", o.Duration, o.WarmUp)
	case o.Kills < 0 || o.Handovers < 0 || o.LagSamples < 0:
		return fmt.Errorf("--kills, --handovers and --lag-samples are numbers from 0 on")
	}
	return nil
}

func duplicates[T int | string](all []T) bool {
	seen := slices.Clone(all)
	slices.Sort(seen)
	return len(slices.Compact(seen)) < len(all)
}
