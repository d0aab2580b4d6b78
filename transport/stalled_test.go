package transport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// stalled is a courier that holds a call to a follower whose disk hangs.
func stalled(t *testing.T) (*Courier, *wire, <-chan answer) {
	t.Helper()
	w := newWire()
	w.hung.Store(true)
	c := NewCourier(w, w)
	held := later(func() error { _, err := c.append(entries(3, 7)); return err })
	pause(t.Context(), time.Hour)
	if got := w.late.Load(); got != 1 {
		t.Errorf("the follower was left %d requests in an hour, want 1", got)
	}
	return c, w, held
}

func TestCourier_HangingFollowerIsSentNothingUntilItAnswersAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, held := stalled(t)
		w.hung.Store(false)
		pause(t.Context(), time.Minute)
		if w.sent.Load() != 0 {
			t.Error("sent without a sign of Raft there")
		}
		resumed := time.Now()
		if _, err := c.append(&raft.AppendEntriesRequest{Term: 3}); err != nil {
			t.Error(err)
		}
		if a := <-held; a.err != nil || a.at != resumed || w.sent.Load() != 1 {
			t.Errorf("%v, %v after the heartbeat, sent %d times", a.err, a.at.Sub(resumed), w.sent.Load())
		}
		if _, err := c.append(entries(3, 8)); err != nil {
			t.Error(err)
		}
	})
}

func TestCourier_HangingFollowerThatWasAwaySinceIsSentTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, held := stalled(t)
		w.hung.Store(false)
		w.down.Store(true)
		pause(t.Context(), outageOfStalled/2)
		w.down.Store(false)
		pause(t.Context(), time.Minute)
		if w.sent.Load() != 0 {
			t.Error("sent after a short outage")
		}
		w.down.Store(true)
		pause(t.Context(), 3*outageOfStalled)
		w.down.Store(false)
		healed := time.Now()
		if a := <-held; a.err != nil || a.at.Sub(healed) > probePause || w.sent.Load() != 1 {
			t.Errorf("%v, %v after the heal, sent %d times", a.err, a.at.Sub(healed), w.sent.Load())
		}
	})
}

func TestCourier_ReleasesACallToAHangingFollowerWithAnError(t *testing.T) {
	for name, release := range map[string]func(c *Courier, w *wire){
		"StepDown":          func(c *Courier, _ *wire) { c.StepDown() },
		"the configuration": func(_ *Courier, w *wire) { w.unlisted.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, held := stalled(t)
				released := time.Now()
				release(c, w)
				if a := <-held; a.err == nil || a.at.Sub(released) > probePauseSlow {
					t.Errorf("%v after %v", a.err, a.at.Sub(released))
				}
			})
		})
	}
}
