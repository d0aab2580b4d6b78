package cluster

import (
	"strings"
	"testing"
)

// A recovery went on without them; what they hold beside the cluster's log is not the cluster's.
func TestAdmission_RefusesDataOfAnotherGeneration(t *testing.T) {
	for name, test := range map[string]struct {
		ours, theirs uint32
		joined       bool
		refused      bool
		reason       string
	}{
		"a new server":                   {ours: 2, joined: true},
		"of this generation":             {ours: 2, theirs: 2, joined: true},
		"of an older one":                {ours: 2, theirs: 1, refused: true, reason: "generation 1 and not 2: delete all of its data directory"},
		"this one is old":                {ours: 1, theirs: 2, reason: "from before the cluster was recovered"},
		"this one does not know its own": {theirs: 2, joined: true},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := leaderWith(t, nil)
			a.generation = func() uint32 { return test.ours }
			r := a.handle(t.Context(), JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d", Generation: test.theirs})
			if r.Joined != test.joined || r.Refused != test.refused || !strings.Contains(r.Reason, test.reason) {
				t.Errorf("%+v", r)
			}
		})
	}
}
