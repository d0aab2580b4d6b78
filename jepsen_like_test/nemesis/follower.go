package nemesis

import (
	"context"
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Weakened is a cluster that lost a voter which did not lead, and goes on.
type Weakened struct {
	Reign
	Follower *harness.Server
	Rest     []*harness.Server // all but the follower
}

func (w Weakened) String() string {
	return fmt.Sprintf("%v, without %s", w.Reign, w.Follower.SID)
}

// KillFollower sends SIGKILL to a voter that does not lead. It stays down.
func KillFollower(ctx context.Context, servers []*harness.Server) (Weakened, error) {
	return weaken(ctx, servers, func(s *harness.Server) error {
		s.Kill()
		return nil
	})
}

// PauseFollower stops a voter that does not lead with SIGSTOP. It stays paused.
func PauseFollower(ctx context.Context, servers []*harness.Server) (Weakened, error) {
	return weaken(ctx, servers, (*harness.Server).Pause)
}

func weaken(ctx context.Context, servers []*harness.Server, fault func(*harness.Server) error) (w Weakened, err error) {
	if w.Reign, err = Leader(ctx, servers, 0); err != nil {
		return w, err
	}
	if w.Follower = follower(servers, w.Leader); w.Follower == nil {
		return w, fmt.Errorf("no voter follows %v", w.Reign)
	}
	w.Rest = others(servers, w.Follower)
	return w, fault(w.Follower)
}

// follower is a voter that does not lead.
func follower(servers []*harness.Server, leader *harness.Server) *harness.Server {
	for _, s := range others(servers, leader) {
		if !s.NonVoter {
			return s
		}
	}
	return nil
}
