//go:build race

package sim

import (
	"runtime"
	"time"
)

// smoke is how long each workload works under all nemeses, in the cluster's time; each takes six times as long here.
const smoke = 2 * time.Minute

// See node/race_test.go: timers of a bubble on two processors crash the race detector.
func init() { runtime.GOMAXPROCS(1) }
