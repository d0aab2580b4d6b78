package trial

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Spec is what a run is made of.
type Spec struct {
	Simulated bool          `json:"simulated"`
	Workload  string        `json:"workload"`
	Nemeses   []string      `json:"nemeses"`              // names, or families
	Often     bool          `json:"often,omitempty"`      // servers take snapshots all the time
	Calm      float64       `json:"calm,omitempty"`       // clients and nemeses rest so many times as long; 0 is 1
	Latency   time.Duration `json:"latency_ns,omitempty"` // between servers, one way; 0: what there is, simulated that of one data centre
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
	if s.Calm != 0 && s.Calm != 1 {
		kind += fmt.Sprintf("-calm %v ", s.Calm)
	}
	if s.Latency != 0 {
		kind += fmt.Sprintf("-latency %v ", s.Latency)
	}
	return fmt.Sprintf("go run ./jepsen_like_test/cmd/jepsen run %s-workload %s -nemesis %s -seed %d -time %v",
		kind, s.Workload, strings.Join(s.Nemeses, ","), s.Seed, s.Time)
}

// Rest is d, as long as this run makes it. Weeks of a cluster's life are mostly calm, and
// what is then left to timers is cheap to simulate. Below 1 there is always something in
// flight when a fault begins.
func (s Spec) Rest(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)*cmp.Or(s.Calm, 1)), time.Millisecond)
}
