package push

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// Options are the flags.
type Options struct {
	Redis  string // host:port; "": not measured
	Pool   int    // connections to it
	Dir    string
	Format report.Format

	Only      []string // parts; all if there is none
	Runs      int
	Duration  time.Duration // of one measurement
	WarmUp    time.Duration // before it
	Frontends int
	Scale     float64 // of the members; 1: what the names say
	Churn     int     // changes a second of channels that change
	Rate      int     // pushes a second while a frontend stalls, to the others; as many again to all
}

const (
	mostFrontends = 50
	mostScale     = 1
	mostDuration  = 30 * time.Second // less than after what a stalled server's life ends
	mostRate      = 1000
)

// defaults are what the project's figures are measured with.
func defaults() Options {
	return Options{
		Pool: 64, Runs: 3, Duration: 5 * time.Second, WarmUp: time.Second,
		Frontends: 10, Scale: 1, Churn: 100, Rate: 100,
	}
}

func (o Options) validate() error {
	for _, name := range o.Only {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("--only has %q; %s are known", name, strings.Join(partNames(), ", "))
		}
	}
	switch {
	case o.Pool < 1:
		return fmt.Errorf("--redis-pool is %d; at least 1 is needed", o.Pool)
	case o.Runs < 1:
		return fmt.Errorf("--runs is %d; at least 1 is needed", o.Runs)
	case o.Duration <= 0 || o.Duration > mostDuration:
		return fmt.Errorf("--duration is %v; it is a time above 0 and at most %v", o.Duration, mostDuration)
	case o.WarmUp < 0:
		return fmt.Errorf("--warm-up is %v; it is a time from 0 on", o.WarmUp)
	case o.Frontends < 2 || o.Frontends > mostFrontends:
		return fmt.Errorf("--frontends is %d; 2 to %d are allowed", o.Frontends, mostFrontends)
	case o.Scale <= 0 || o.Scale > mostScale:
		return fmt.Errorf("--scale is %g; it is above 0 and at most %d", o.Scale, mostScale)
	case o.Churn < 1 || o.Rate < 1 || o.Churn > mostRate || o.Rate > mostRate:
		return fmt.Errorf("--churn is %d and --rate %d; 1 to %d are allowed", o.Churn, o.Rate, mostRate)
	}
	return nil
}

// wants says whether a part is to be measured.
func (o Options) wants(part string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, part) }

// scaled is a size, as the flags have it.
func (o Options) scaled(n int) int { return max(int(float64(n)*o.Scale), 1) }
