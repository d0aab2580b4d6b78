package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func TestCourier_AnswersForAnIdleFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := NewCourier(w, w)
		ask := func(req *raft.AppendEntriesRequest, really bool) {
			t.Helper()
			before := w.sent.Load()
			resp, err := c.append(req)
			if err != nil || resp.Term != req.Term {
				t.Errorf("%+v, %v", resp, err)
			}
			if asked := w.sent.Load() > before; asked != really {
				t.Errorf("%+v: the follower was asked: %v, want %v", req, asked, really)
			}
		}
		ask(entries(3, 7), true)
		ask(idle(3, 7, 6), false) // nothing has changed since
		ask(idle(3, 7, 7), true)  // a commit it has not heard of
		ask(idle(3, 7, 7), false)
		pause(t.Context(), idleAnswer-1)
		ask(idle(3, 7, 7), false)
		pause(t.Context(), 1)
		ask(idle(3, 7, 7), true) // that was too long ago, however often it was answered since
		ask(idle(3, 6, 7), true)
		ask(&raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 6, PrevLogTerm: 2, LeaderCommitIndex: 7}, true)
		ask(entries(3, 8), true)
		ask(entries(3, 8), true)
		ask(&raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 8, PrevLogTerm: 3, LeaderCommitIndex: 7}, true)

		w.reject.Store(true)
		ask(entries(4, 9), true)
		ask(idle(4, 9, 8), true)
		ask(idle(4, 9, 8), true) // it does not have them
	})
}

func TestCourier_DoesNotAnswerForAFollowerThatFailedSince(t *testing.T) {
	for name, spoil := range map[string]func(c *Courier, w *wire){
		"heartbeat that failed": func(c *Courier, w *wire) {
			w.fails.Store(1)
			_, _ = c.append(&raft.AppendEntriesRequest{Term: 3})
		},
		"heartbeat that was refused": func(c *Courier, w *wire) {
			w.reject.Store(true)
			_, _ = c.append(&raft.AppendEntriesRequest{Term: 3})
			w.reject.Store(false)
		},
		"snapshot": func(c *Courier, _ *wire) {
			_ = c.InstallSnapshot("b", "", &raft.InstallSnapshotRequest{Term: 3}, new(raft.InstallSnapshotResponse), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				c := NewCourier(w, w)
				_, _ = c.append(entries(3, 7))
				spoil(c, w)
				before := w.sent.Load()
				if _, err := c.append(idle(3, 7, 6)); err != nil || w.sent.Load() != before+1 {
					t.Errorf("%v, the follower was asked %d times", err, w.sent.Load()-before)
				}
			})
		})
	}
}

func TestCourier_AnswerTimeIsThatOfTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.slow = idleAnswer
		c := NewCourier(w, w)
		_, _ = c.append(entries(3, 7))
		if _, err := c.append(idle(3, 7, 6)); err != nil || w.sent.Load() != 2 {
			t.Errorf("%v, asked %d times: the answer was old when it came", err, w.sent.Load())
		}
	})
}

func TestCourier_HeartbeatsProlongAnAnswerUpToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := NewCourier(w, w)
		began := time.Now()
		_, _ = c.append(entries(3, 7))
		for time.Since(began) < mostIdle {
			if _, err := c.append(idle(3, 7, 6)); err != nil || w.sent.Load() != 1 {
				t.Fatalf("after %v: %v, the follower was asked %d times", time.Since(began), err, w.sent.Load())
			}
			_, _ = c.append(&raft.AppendEntriesRequest{Term: 3})
			pause(t.Context(), idleAnswer/2)
		}
		if _, err := c.append(idle(3, 7, 6)); err != nil || w.sent.Load() != 2 {
			t.Errorf("%v, the follower was asked %d times, though it was not for %v", err, w.sent.Load(), mostIdle)
		}
	})
}

// resting is a question that has nothing to ask.
func resting(t *testing.T) (*Courier, *wire, <-chan answer) {
	t.Helper()
	w := newWire()
	c := NewCourier(w, w)
	c.Grown(7)
	_, _ = c.append(entries(3, 7))
	_, _ = c.append(idle(3, 7, 7)) // tells of the commit
	done := later(func() error { _, err := c.append(idle(3, 7, 7)); return err })
	pause(t.Context(), idleAnswer/2)
	if len(done) > 0 || w.sent.Load() != 2 {
		t.Fatalf("it does not rest: asked %d times, answered %v", w.sent.Load(), len(done) > 0)
	}
	return c, w, done
}

func TestCourier_SettledQuestionRestsUntil(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(c *Courier, w *wire)
		asked   bool // the follower
	}{
		"the log grows":           {func(c *Courier, _ *wire) { c.Grown(8) }, false},
		"this node steps down":    {func(c *Courier, _ *wire) { c.StepDown() }, false},
		"somebody is in haste":    {func(c *Courier, _ *wire) { c.Hasten() }, false},
		"this node leads again":   {func(c *Courier, _ *wire) { c.leading(4) }, false},
		"a heartbeat fails":       {func(c *Courier, w *wire) { w.fails.Store(1); _, _ = c.append(&raft.AppendEntriesRequest{Term: 3}) }, true},
		"a snapshot is installed": {func(c *Courier, _ *wire) { c.follower("b").forget() }, true},
		"a heartbeat is refused": {func(c *Courier, w *wire) {
			w.reject.Store(true)
			_, _ = c.append(&raft.AppendEntriesRequest{Term: 3})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, done := resting(t)
				before, now := w.sent.Load(), time.Now()
				test.happens(c, w)
				if a := <-done; a.err != nil || a.at != now || (w.sent.Load() > before) != test.asked {
					t.Errorf("answered after %v: %v, the follower was asked: %v", a.at.Sub(now), a.err, w.sent.Load() > before)
				}
			})
		})
	}
}

// The last sign of life that Raft hears of is as late as may be, and then the
// follower is asked.
func TestCourier_SettledQuestionRestsUntilTheLastMoment(t *testing.T) {
	for name, test := range map[string]struct {
		beats bool
		stood time.Duration // since the question was asked
	}{
		"without heartbeats": {false, idleAnswer},
		"with heartbeats":    {true, mostIdle},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, done := resting(t)
				asked := time.Now().Add(-idleAnswer / 2)
				for test.beats && len(done) == 0 && time.Since(asked) < 2*mostIdle {
					_, _ = c.append(&raft.AppendEntriesRequest{Term: 3})
					pause(t.Context(), idleAnswer/10)
				}
				a := <-done
				if got, want := a.at.Sub(asked), test.stood-lastMoment; a.err != nil || got != want || w.sent.Load() != 2 {
					t.Errorf("%v, rested until %v after it was asked, want %v; asked %d times, want 2", a.err, got, want, w.sent.Load())
				}
				for time.Since(asked) < test.stood {
					if _, err := c.append(idle(3, 7, 7)); err != nil || w.sent.Load() != 2 {
						t.Errorf("%v, asked %d times, want 2", err, w.sent.Load())
					}
					pause(t.Context(), time.Millisecond)
				}
				if _, err := c.append(idle(3, 7, 7)); err != nil || w.sent.Load() != 3 {
					t.Errorf("%v, asked %d times after %v, want 3", err, w.sent.Load(), test.stood)
				}
			})
		})
	}
}

func TestCourier_QuestionDoesNotRest(t *testing.T) {
	for name, test := range map[string]struct {
		last, committed uint64
		haste           bool
	}{
		"before the follower's entries are committed": {7, 6, false},
		"after the log has grown":                     {8, 7, false},
		"when nobody tells whether it grows":          {0, 7, false},
		"while somebody is in haste":                  {7, 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				c := NewCourier(w, w)
				_, _ = c.append(entries(3, 7))
				_, _ = c.append(idle(3, 7, test.committed))
				if test.last > 0 {
					c.Grown(test.last)
				}
				c.Hasten()() // who is calm again holds up nothing
				if test.haste {
					defer c.Hasten()()
				}
				before, now := w.sent.Load(), time.Now()
				if _, err := c.append(idle(3, 7, test.committed)); err != nil || time.Since(now) > 0 || w.sent.Load() > before {
					t.Errorf("%v after %v, asked %d times", err, time.Since(now), w.sent.Load()-before)
				}
			})
		})
	}
}
