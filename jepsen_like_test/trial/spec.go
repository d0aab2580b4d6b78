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
	Nemeses   []string      `json:"nemeses"` // names, or families
	Seed      uint64        `json:"seed"`
	Time      time.Duration `json:"time_ns"` // of the load, in the cluster's time
}

// Command repeats the run, as far as a seed can: it decides what workers and nemeses
// do, not how processes interleave.
func (s Spec) Command() string {
	sim := ""
	if s.Simulated {
		sim = "-sim "
	}
	return fmt.Sprintf("go run ./jepsen_like_test/cmd/jepsen run %s-workload %s -nemesis %s -seed %d -time %v",
		sim, s.Workload, strings.Join(s.Nemeses, ","), s.Seed, s.Time)
}
