package sim

import (
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// Between faults that are far enough from each other, hosts are asked who is online, and
// whom they have forgotten is gone.
func TestSessions_NobodyOutlivesThem(t *testing.T) {
	result, events := run(t, trial.Spec{Simulated: true, Workload: trial.Sessions, Nemeses: []string{"processes"}, Seed: *seedFlag, Time: 30 * time.Minute})
	if len(result.Violations) > 0 || !result.Valid() {
		t.Error(result)
	}
	r, err := checker.CheckSessions(events)
	if err != nil || r.Shown < 100 || r.Left < 50 || r.Parted < 50 || r.Forgotten < 5 {
		t.Errorf("%v %v", err, r)
	}
}
