package trial

import (
	"fmt"
	"strings"
	"time"
)

// Result is the verdict on one run.
type Result struct {
	Spec       Spec             `json:"spec"`
	Checked    int              `json:"checked"`              // operations that the checker judged
	Report     string           `json:"report"`               // the checker's counts, for people
	Faults     map[string]Fault `json:"faults"`               // by nemesis
	Skipped    []string         `json:"skipped,omitempty"`    // nemeses that this cluster can't suffer
	Leaders    int              `json:"leaders"`              // that were seen leading, by term
	Times      Times            `json:"times,omitempty"`      // that were noted, by the promise's name
	Terms      uint64           `json:"terms"`                // that went by
	Lived      time.Duration    `json:"lived_ns"`             // in the cluster's time
	Took       time.Duration    `json:"took_ns"`              // on the wall, of whoever ran it
	Violations []string         `json:"violations,omitempty"` // broken promises
	Invalid    []string         `json:"invalid,omitempty"`    // why the run does not count
	Dir        string           `json:"dir,omitempty"`        // what a failed run left

	page func(path string) (bool, error) // draws what was searched for an order; nil: there is none
}

// Times are in nanoseconds.
type Times map[string][]time.Duration

// Fault counts what one nemesis did.
type Fault struct {
	Seen   int      `json:"seen"`
	Unseen []string `json:"unseen,omitempty"` // why the others do not count
}

// Valid tells whether the run counts.
func (r *Result) Valid() bool { return len(r.Invalid) == 0 }

// Seen is how many faults were.
func (r *Result) Seen() (n int) {
	for _, f := range r.Faults {
		n += f.Seen
	}
	return n
}

func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v of life, %d faults seen, %d leaders in %d terms\n  %s", r.Spec.Workload, r.Lived.Round(time.Second), r.Seen(), r.Leaders, r.Terms, r.Report)
	for _, v := range r.Violations {
		fmt.Fprintf(&b, "\n  VIOLATION %s", v)
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(&b, "\n  skipped, not possible here: %s", strings.Join(r.Skipped, ", "))
	}
	for _, why := range r.Invalid {
		fmt.Fprintf(&b, "\n  does not count: %s", why)
	}
	if len(r.Violations) > 0 {
		fmt.Fprintf(&b, "\n  once more: %s\n  what it left: %s", r.Spec.Command(), r.Dir)
	}
	return b.String()
}
