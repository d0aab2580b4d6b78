package sim

import (
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// A follower comes back with less than it had, again and again, and nothing is lost.
func TestDisks_StaleCopy(t *testing.T) {
	result, _ := run(t, trial.Spec{Simulated: true, Workload: "set", Nemeses: []string{"stale"}, Seed: 1, Time: smoke / 5})
	if len(result.Violations) > 0 || !result.Valid() {
		t.Error(result)
	}
}
