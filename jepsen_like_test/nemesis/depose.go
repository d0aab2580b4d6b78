package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Deposed is a leader that was hurt until another one led.
type Deposed struct {
	Old, New  Reign
	Survivors []*harness.Server
	Took      time.Duration // from the fault until the survivors agreed on a new leader
}

func (d Deposed) String() string {
	return fmt.Sprintf("%v was followed by %v after %v", d.Old, d.New, d.Took.Round(time.Millisecond))
}

// KillLeader sends SIGKILL to the leader and returns when the others have a new
// one. The killed server stays down.
func KillLeader(ctx context.Context, servers []*harness.Server) (Deposed, error) {
	return depose(ctx, servers, func(s *harness.Server) error {
		s.Kill()
		return nil
	})
}

// KillWritingLeader is KillLeader where a write in flight is not left to luck: the
// leader is stopped with SIGSTOP, and killed once the history has a write that was
// sent to it after that, and so has no answer. It dies in the state in which it was
// stopped. Clients that pause between operations send one within milliseconds; the
// others, only when they have given up the last.
func KillWritingLeader(ctx context.Context, servers []*harness.Server, during *history.Recorder) (Deposed, error) {
	return depose(ctx, servers, func(s *harness.Server) error {
		if err := s.Pause(); err != nil {
			return err
		}
		err := during.Tail().Await(ctx, "a write in flight through "+s.SID, func(e history.Event) bool {
			return e.Type == history.Invoke && e.F != history.Read && e.Via == s.SID
		})
		s.Kill()
		return err
	})
}

// PauseLeader stops the leader with SIGSTOP and returns when the others have a
// new one. The paused server stays paused: it still believes that it leads.
func PauseLeader(ctx context.Context, servers []*harness.Server) (Deposed, error) {
	return depose(ctx, servers, (*harness.Server).Pause)
}

func depose(ctx context.Context, servers []*harness.Server, fault func(*harness.Server) error) (Deposed, error) {
	old, err := Leader(ctx, servers, 0)
	if err != nil {
		return Deposed{}, err
	}
	d := Deposed{Old: old, Survivors: others(servers, old.Leader)}
	began := time.Now()
	if err := fault(old.Leader); err != nil {
		return d, err
	}
	if d.New, err = Leader(ctx, d.Survivors, old.Term); err != nil {
		return d, err
	}
	d.Took = time.Since(began)
	return d, nil
}
