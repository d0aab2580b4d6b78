package transport

import (
	"testing"
	"testing/synctest"

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
