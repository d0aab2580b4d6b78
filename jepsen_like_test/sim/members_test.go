package sim

import (
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// Two servers join and get votes, whichever shape the cluster has; one of them leads now
// and then when it is decommissioned; and the run finds the cluster as it was.
func TestMembers_VotersJoinAndLeave(t *testing.T) {
	led := 0
	for seed := range uint64(10) {
		if led > 0 && seed >= uint64(len(shapes)) {
			break
		}
		result, events := run(t, trial.Spec{Simulated: true, Workload: "register", Nemeses: []string{"voters-join"}, Seed: seed, Time: smoke / 5})
		if len(result.Violations) > 0 || !result.Valid() {
			t.Error(result)
		}
		for _, e := range events {
			if e.F == history.Mended && strings.Contains(e.Text, " led when they left") {
				_, last, _ := strings.Cut(e.Text, "; ")
				if strings.HasPrefix(last, "guest-") {
					led++
				}
			}
		}
	}
	if led == 0 {
		t.Error("no guest ever led when it was to leave")
	}
}
