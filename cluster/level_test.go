package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// levelled is a state that keeps its level.
type levelled struct {
	*called

	mu    sync.Mutex // guards what follows
	level uint32
	stale uint32 // what the replica still shows until CatchUp; 0: all
	fails error  // of the next RaiseLevel
	calls []uint32
}

func (s *levelled) CatchUp(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = 0
	return nil
}
func (*levelled) End(context.Context, Life) error      { return errors.ErrUnsupported }
func (*levelled) Forget(context.Context, uint64) error { return errors.ErrUnsupported }

func (s *levelled) Level() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stale != 0 {
		return s.stale
	}
	return s.level
}

func (s *levelled) RaiseLevel(_ context.Context, to uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, to)
	if err := s.fails; err != nil {
		s.fails = nil
		return err
	}
	s.level = max(s.level, to)
	return nil
}

// levelling is a leader of level own with n others that know the same.
func levelling(n int, own uint32) (*levelled, *level, func(context.Context)) {
	c, roll := calling(n)
	for _, p := range c.processes {
		p.answer.Level = own
	}
	s := &levelled{called: c, level: firstLevel}
	l := &level{consensus: roll.consensus, state: s, roll: roll, own: own, turn: make(chan struct{}, 1), logger: slog.New(slog.DiscardHandler)}
	return s, l, func(ctx context.Context) {
		var duties sync.WaitGroup
		duties.Go(func() { roll.lead(ctx) })
		duties.Go(func() { l.lead(ctx) })
		duties.Wait()
	}
}

func TestLevel_IsRaisedAtOnceWhenAllHaveAnswered(t *testing.T) {
	for _, n := range []int{0, 2, 48} {
		synctest.Test(t, func(t *testing.T) {
			s, _, lead := levelling(n, 4)
			defer leading(lead)()
			pass(250 * time.Millisecond)
			if got := s.Level(); got != 4 {
				t.Errorf("with %d others: level %d", n, got)
			}
			pass(time.Minute)
			if !slices.Equal(s.calls, []uint32{4}) {
				t.Errorf("with %d others: raised %v times", n, s.calls)
			}
		})
	}
}

func TestLevel_WaitsForTheLastServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, lead := levelling(3, 5)
		down, old := s.processes[simAddr(2)], s.processes[simAddr(3)]
		s.processes[simAddr(2)] = nil
		old.answer.Level = 0 // from before there were levels
		defer leading(lead)()
		pass(time.Hour)
		if len(s.calls) != 0 {
			t.Errorf("raised to %v while a server is down", s.calls)
		}
		s.change(func() { s.processes[simAddr(2)] = down })
		pass(time.Hour)
		if len(s.calls) != 0 {
			t.Errorf("raised to %v while an old server is there", s.calls)
		}
		s.change(func() { old.answer.Level = 4 })
		pass(2 * time.Second)
		if got := s.Level(); got != 4 {
			t.Errorf("level %d, all know 4", got)
		}
		s.change(func() { old.answer.Level = 3 }) // an older binary again: too late
		pass(time.Minute)
		s.change(func() { s.servers = slices.Delete(s.servers, 3, 4) })
		pass(2 * time.Second)
		if got := s.Level(); got != 5 {
			t.Errorf("level %d after the last old server has left the configuration", got)
		}
		if !slices.Equal(s.calls, []uint32{4, 5}) {
			t.Errorf("raised to %v", s.calls)
		}
	})
}

// A join that is being decided may bring a server that knows less.
func TestLevel_TakesTheTurnOfConfigurationChangesAndLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, lead := levelling(1, 4)
		l.turn <- struct{}{}
		defer leading(lead)()
		pass(10 * time.Second)
		if len(s.calls) != 0 {
			t.Errorf("raised to %v in somebody else's turn", s.calls)
		}
		s.change(func() { s.servers = append(s.servers, Server{NodeID: "n9", Addr: simAddr(9)}) })
		<-l.turn
		pass(10 * time.Second)
		if len(s.calls) != 0 {
			t.Errorf("raised to %v beside a server that has not answered", s.calls)
		}
		s.change(func() { s.servers = s.servers[:2] })
		pass(3 * time.Second)
		if got := s.Level(); got != 4 {
			t.Errorf("level %d", got)
		}
	})
}

func TestLevel_TriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, lead := levelling(1, 4)
		s.fails = errors.New("no quorum")
		defer leading(lead)()
		pass(3 * time.Second)
		if got := s.Level(); got != 4 || !slices.Equal(s.calls, []uint32{4, 4}) {
			t.Errorf("level %d, tried %v", got, s.calls)
		}
	})
}

func TestAdmission_RefusesABinaryThatKnowsTooLittle(t *testing.T) {
	tests := map[string]struct {
		told, stale uint32
		refused     bool
	}{
		"as the cluster":                {told: 3},
		"newer":                         {told: 7},
		"older":                         {told: 2, refused: true},
		"from before there were levels": {told: 0, refused: true},
		"the leader's replica lags":     {told: 2, stale: 2, refused: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, servers := leaderWith(t, nil)
			a.state, a.level = &levelled{level: 3, stale: test.stale}, 4
			reply := a.handle(t.Context(), JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d", Level: test.told})
			if reply.Refused != test.refused || reply.Joined == test.refused {
				t.Errorf("reply %+v", reply)
			}
			if test.refused && !strings.Contains(reply.Reason, "upgrade its binary") {
				t.Errorf("reason %q", reply.Reason)
			}
			if (len(servers()) == 0) != test.refused {
				t.Errorf("servers %v", servers())
			}
		})
	}
}
