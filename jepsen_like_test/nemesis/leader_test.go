package nemesis

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A leader counts only once everybody asked follows it: otherwise a run would
// take a leader that was just deposed for the new one.
func TestLeads_OnlyWhereAllAgree(t *testing.T) {
	status := func(sid, leader string, term uint64) *pb.StatusResponse {
		return &pb.StatusResponse{Sid: sid, Leader: leader, Term: term}
	}
	for name, tt := range map[string]struct {
		statuses []*pb.StatusResponse
		want     int
	}{
		"agreed":               {[]*pb.StatusResponse{status("a", "b", 3), status("b", "b", 3)}, 1},
		"alone":                {[]*pb.StatusResponse{status("a", "a", 3)}, 0},
		"old term":             {[]*pb.StatusResponse{status("a", "b", 2), status("b", "b", 2)}, -1},
		"nobody known":         {[]*pb.StatusResponse{status("a", "", 3), status("b", "b", 3)}, -1},
		"terms differ":         {[]*pb.StatusResponse{status("a", "b", 4), status("b", "b", 3)}, -1},
		"two leaders":          {[]*pb.StatusResponse{status("a", "a", 3), status("b", "b", 3)}, -1},
		"the one that is hurt": {[]*pb.StatusResponse{status("a", "c", 3), status("b", "c", 3)}, -1},
	} {
		got, err := leads(tt.statuses, 2)
		if got != tt.want || (err == nil) != (tt.want >= 0) {
			t.Errorf("%s: got %d, %v; want %d", name, got, err, tt.want)
		}
	}
}

// Hurting a server that does not vote, or the leader, would weaken nothing, or all.
func TestFollower_IsAVoterThatDoesNotLead(t *testing.T) {
	leader, witness, voter := &harness.Server{}, &harness.Server{Spec: harness.Spec{NonVoter: true}}, &harness.Server{}
	if got := follower([]*harness.Server{leader, witness, voter}, leader); got != voter {
		t.Errorf("got %p, want the voter %p", got, voter)
	}
	if got := follower([]*harness.Server{leader, witness}, leader); got != nil {
		t.Errorf("got %p, want none", got)
	}
}
