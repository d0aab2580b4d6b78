package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// court is the state of a leader whose commits a test can hold up.
type court struct {
	*called

	mu    sync.Mutex    // guards what follows
	stuck chan struct{} // nil: commits go through; closed: they go on
	fail  error
	tried int // ends that were proposed
	ended []string
}

func (c *court) CatchUp(ctx context.Context) error {
	c.mu.Lock()
	stuck, fail := c.stuck, c.fail
	c.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fail
}

func (c *court) End(ctx context.Context, l Life) error {
	c.set(func() { c.tried++ })
	if err := c.CatchUp(ctx); err != nil {
		return err
	}
	c.change(func() {
		for i, have := range c.lives {
			if have.SID == l.SID && have.Epoch == l.Epoch {
				c.lives[i].Up = false
			}
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, l.SID)
	return nil
}

func (*court) Forget(context.Context, uint64) error     { return errors.ErrUnsupported }
func (*court) Level() uint32                            { return firstLevel }
func (*court) RaiseLevel(context.Context, uint32) error { return errors.ErrUnsupported }

func (c *court) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *court) over() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.ended))
}

// reaping is a leader that calls the roll of n others and reaps after 10 s.
func reaping(n int) (*court, func(ctx context.Context)) {
	c, roll := calling(n)
	court := &court{called: c}
	reap := &reaper{
		state: court, heard: roll.hearing, members: roll.members,
		reapAfter: func() time.Duration { return 10 * time.Second }, logger: slog.New(slog.DiscardHandler),
	}
	return court, func(ctx context.Context) {
		var duties sync.WaitGroup
		duties.Go(func() { roll.lead(ctx) })
		duties.Go(func() { reap.lead(ctx) })
		duties.Wait()
	}
}

func wantOver(t *testing.T, c *court, when string, want ...string) {
	t.Helper()
	if got := c.over(); !slices.Equal(got, want) {
		t.Errorf("%s: ended %v, want %v", when, got, want)
	}
	c.set(func() {
		if c.tried != len(want) {
			t.Errorf("%s: %d ends were proposed, want %d", when, c.tried, len(want))
		}
	})
}

func TestReaper_EndsTheSilentAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(4)
		defer leading(lead)()
		pass(time.Minute + rollCallPace/2)
		wantOver(t, c, "all answer")
		c.change(func() {
			c.processes[simAddr(1)] = nil       // refuses
			c.processes[simAddr(2)].takes = -1  // vanished
			c.processes[simAddr(3)].alive = nil // restarted, and not registered yet
			c.processes[simAddr(4)].takes = 4 * time.Second
		})
		pass(9 * time.Second)
		wantOver(t, c, "9 s later")
		pass(6 * time.Second)
		wantOver(t, c, "15 s later", "s1", "s2", "s3")
		pass(time.Hour)
		wantOver(t, c, "an hour later", "s1", "s2", "s3")
	})
}

func TestReaper_ASilenceThatEndsInTimeIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(1)
		defer leading(lead)()
		pass(time.Minute + rollCallPace/2)
		for range 10 {
			p := c.processes[simAddr(1)]
			c.change(func() { c.processes[simAddr(1)] = nil })
			pass(8 * time.Second)
			c.change(func() { c.processes[simAddr(1)] = p })
			pass(2 * time.Second)
		}
		wantOver(t, c, "after ten absences")
	})
}

// A leader that cannot commit proposes nothing, and when it can again it looks anew.
func TestReaper_WithoutCommitsNobodyIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(2)
		defer leading(lead)()
		pass(time.Minute + rollCallPace/2)
		p := c.processes[simAddr(1)]
		stuck := make(chan struct{})
		c.set(func() { c.stuck = stuck })
		c.change(func() { c.processes[simAddr(1)], c.processes[simAddr(2)] = nil, nil })
		pass(time.Minute)
		wantOver(t, c, "while commits hang")
		c.change(func() { c.processes[simAddr(1)] = p }) // s1 is back before the log moves again
		pass(2 * time.Second)
		c.set(func() { c.stuck = nil })
		close(stuck)
		pass(10 * time.Second)
		wantOver(t, c, "when commits go through again", "s2")
	})
}

// It answers while the commit is under way that is to come before its end.
func TestReaper_AnAnswerDuringTheLastLookCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(1)
		defer leading(lead)()
		pass(time.Minute + rollCallPace/2)
		p := c.processes[simAddr(1)]
		c.change(func() { c.processes[simAddr(1)] = nil })
		pass(8 * time.Second)
		stuck := make(chan struct{})
		c.set(func() { c.stuck = stuck })
		pass(3 * time.Second) // the silence has lasted 10 s, the commit does not come
		c.change(func() { c.processes[simAddr(1)] = p })
		pass(1100 * time.Millisecond)
		c.set(func() { c.stuck = nil })
		close(stuck)
		pass(time.Minute)
		wantOver(t, c, "after it answered")
	})
}

func TestReaper_EachTermCountsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(1)
		c.processes[simAddr(1)] = nil
		for range 10 {
			end := leading(lead)
			pass(9 * time.Second)
			end()
		}
		wantOver(t, c, "after ten terms of 9 s")
		// In a term without a committed entry nobody is judged, however long it takes.
		c.set(func() { c.fail = errors.New("no quorum") })
		end := leading(lead)
		pass(time.Hour)
		end()
		wantOver(t, c, "after a term without a commit")
		c.set(func() { c.fail = nil })
		defer leading(lead)()
		pass(15 * time.Second)
		wantOver(t, c, "after a term of 15 s", "s1")
	})
}

func TestReaper_GossipSpeaksForAProcessThatOurQuestionsDoNotReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lead := reaping(2)
		c.members = []Member{{NodeID: "n1", Incarnation: "i1", Addr: simAddr(1)}, {NodeID: "n2", Incarnation: "later", Addr: simAddr(2)}}
		c.processes[simAddr(1)].takes, c.processes[simAddr(2)].takes = -1, -1
		defer leading(lead)()
		pass(time.Hour)
		wantOver(t, c, "s1 is in sight, s2 is another process now", "s2")
		c.change(func() { c.members = nil })
		pass(2 * time.Second)
		wantOver(t, c, "s1 is out of sight", "s1", "s2")
	})
}

// Hundreds of dead at once do not wait for each other's commits.
func TestReaper_ManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		c, lead := reaping(n)
		c.processes = map[string]*process{simAddr(0): c.processes[simAddr(0)]}
		defer leading(lead)()
		pass(20 * time.Second)
		if got := len(c.over()); got != n {
			t.Errorf("%d of %d were ended", got, n)
		}
	})
}
