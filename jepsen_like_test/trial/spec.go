package trial

import (
	"fmt"
	"strings"
	"time"
)

// Spec is what a run is made of.
type Spec struct {
	Simulated bool          `json:"simulated"`
	Workload  string        `json:"workload"`
	Nemeses   []string      `json:"nemeses"`         // names, or families
	Often     bool          `json:"often,omitempty"` // servers take snapshots all the time
	Calm      int           `json:"calm,omitempty"`  // clients and nemeses rest so many times as long; 0 is 1
	Seed      uint64        `json:"seed"`
	Time      time.Duration `json:"time_ns"` // of the load, in the cluster's time
}

// Command repeats the run, as far as a seed can: it decides what workers and nemeses
// do, not how processes interleave.
func (s Spec) Command() string {
	kind := ""
	if s.Simulated {
		kind = "-sim "
	}
	if s.Often {
		kind += "-snapshots-often "
	}
	if s.Calm > 1 {
		kind += fmt.Sprintf("-calm %d ", s.Calm)
	}
	return fmt.Sprintf("go run ./jepsen_like_test/cmd/jepsen run %s-workload %s -nemesis %s -seed %d -time %v",
		kind, s.Workload, strings.Join(s.Nemeses, ","), s.Seed, s.Time)
}

// Rest is d, as long as this run makes it. Weeks of a cluster's life are mostly calm, and
// what is then left to timers is cheap to simulate.
func (s Spec) Rest(d time.Duration) time.Duration { return d * time.Duration(max(s.Calm, 1)) }
