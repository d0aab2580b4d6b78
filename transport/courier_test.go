package transport

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

var errAway = errors.New("away")

// wire is a network with one follower, as a Courier sees it: a transport and a Reach.
type wire struct {
	raft.Transport
	raft.WithPreVote

	down, stuck, unlisted atomic.Bool
	hung                  atomic.Bool // calls time out, probes are answered
	probes, cuts          atomic.Int64
	sent, beats, late     atomic.Int64  // late: calls that timed out
	cut                   chan struct{} // ends calls that are stuck
	slow                  time.Duration // what a call takes
	reject                atomic.Bool
	fails                 atomic.Int64 // so many calls fail at once
}

func newWire() *wire { return &wire{cut: make(chan struct{})} }

func (w *wire) Close() error { return nil }

func (w *wire) call(n *atomic.Int64) error {
	if w.down.Load() {
		return errAway
	}
	if w.stuck.Load() {
		<-w.cut
		return errAway
	}
	if w.hung.Load() {
		pause(context.Background(), 3*time.Second)
		w.late.Add(1)
		return errAway
	}
	if w.fails.Add(-1) >= 0 {
		return errAway
	}
	pause(context.Background(), w.slow)
	n.Add(1)
	return nil
}

func (w *wire) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	n := &w.sent
	if isHeartbeat(req) {
		n = &w.beats
	}
	*resp = raft.AppendEntriesResponse{Term: req.Term, Success: !w.reject.Load()}
	return w.call(n)
}

func (w *wire) InstallSnapshot(_ raft.ServerID, _ raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, _ io.Reader) error {
	*resp = raft.InstallSnapshotResponse{Term: req.Term, Success: true}
	return w.call(&w.sent)
}

func (w *wire) Probe(ctx context.Context, _ raft.ServerID, _ raft.ServerAddress) error {
	w.probes.Add(1)
	switch {
	case w.unlisted.Load():
		return ErrNoPeer
	case w.stuck.Load():
		<-ctx.Done()
		return ctx.Err()
	case w.down.Load():
		return errAway
	}
	return nil
}

func (w *wire) Cut(raft.ServerID) {
	w.cuts.Add(1)
	close(w.cut)
}

// entries is a request of term with one entry, after which the follower's log ends at last.
func entries(term, last uint64) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last - 1, PrevLogTerm: term, LeaderCommitIndex: last - 1, Entries: []*raft.Log{{Index: last, Term: term}}}
}

// idle is a request without entries.
func idle(term, last, committed uint64) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, LeaderCommitIndex: committed}
}

func (c *Courier) append(req *raft.AppendEntriesRequest) (*raft.AppendEntriesResponse, error) {
	resp := new(raft.AppendEntriesResponse)
	return resp, c.AppendEntries("b", "b@10.0.0.2:7400", req, resp)
}

// answer is what became of a call, and when.
type answer struct {
	err error
	at  time.Time
}

func later(call func() error) <-chan answer {
	done := make(chan answer, 1)
	go func() { done <- answer{call(), time.Now()} }()
	return done
}

// holding is a courier that holds a call to a follower that is down.
func holding(t *testing.T) (*Courier, *wire, <-chan answer) {
	t.Helper()
	w := newWire()
	w.down.Store(true)
	c := NewCourier(w, w)
	held := later(func() error { _, err := c.append(entries(3, 7)); return err })
	pause(t.Context(), 10*time.Second)
	select {
	case a := <-held:
		t.Fatalf("not held: %v", a.err)
	default:
	}
	return c, w, held
}

func TestCourier_HeldCallGoesOutWhenAProbeIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, held := holding(t)
		if got, want := w.probes.Load(), int64(10*time.Second/probePause); got < want || got > want+1 {
			t.Errorf("%d probes in 10 s, want %d", got, want)
		}
		w.down.Store(false)
		healed := time.Now()
		a := <-held
		if took := a.at.Sub(healed); a.err != nil || took > probePause || w.sent.Load() != 1 {
			t.Errorf("%v, %v after the follower was back, sent %d times", a.err, took, w.sent.Load())
		}
		before := w.probes.Load()
		pause(t.Context(), time.Minute)
		if got := w.probes.Load(); got != before {
			t.Errorf("%d probes while nothing is held", got-before)
		}
	})
}

func TestCourier_HeartbeatIsNeverHeldAndReleasesWhatIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.down.Store(true)
		c := NewCourier(w, blind{w})
		held := later(func() error { _, err := c.append(entries(3, 7)); return err })
		beat := &raft.AppendEntriesRequest{Term: 3}
		if _, err := c.append(beat); !errors.Is(err, errAway) {
			t.Errorf("heartbeat: %v, want the transport's error", err)
		}
		pause(t.Context(), time.Second)
		w.down.Store(false)
		healed := time.Now()
		if _, err := c.append(beat); err != nil {
			t.Error(err)
		}
		if a := <-held; a.err != nil || a.at.Sub(healed) > probePause {
			t.Errorf("%v, %v after a heartbeat was answered", a.err, a.at.Sub(healed))
		}
	})
}

func TestCourier_ReleasesWithAnError(t *testing.T) {
	for name, release := range map[string]func(c *Courier, w *wire){
		"StepDown": func(c *Courier, _ *wire) { c.StepDown() },
		"Close":    func(c *Courier, _ *wire) { _ = c.Close() },
		"a call of a newer term": func(c *Courier, w *wire) {
			w.down.Store(false)
			_ = c.AppendEntries("other", "", entries(4, 8), new(raft.AppendEntriesResponse))
			w.down.Store(true)
		},
		"the configuration": func(_ *Courier, w *wire) { w.unlisted.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, w, held := holding(t)
				pause(t.Context(), probePause/2) // between two probes
				released := time.Now()
				release(c, w)
				a := <-held
				if took := a.at.Sub(released); a.err == nil || took > probePause {
					t.Errorf("%v after %v", a.err, took)
				}
				// And the term is over: Raft's last attempts go out as they are.
				if _, err := c.append(entries(3, 8)); err == nil {
					t.Error("a call to a follower that is away succeeded")
				}
			})
		})
	}
}

func TestCourier_NextTermHoldsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, w, held := holding(t)
		c.StepDown()
		<-held
		held = later(func() error { _, err := c.append(entries(4, 8)); return err })
		pause(t.Context(), time.Second)
		w.down.Store(false)
		if a := <-held; a.err != nil || w.sent.Load() != 1 {
			t.Errorf("%v, sent %d times", a.err, w.sent.Load())
		}
	})
}

func TestCourier_RaftHearsNothingOfALongAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, w, held := holding(t)
		pause(t.Context(), time.Hour)
		w.down.Store(false)
		healed := time.Now()
		if a := <-held; a.err != nil || a.at.Sub(healed) > probePause {
			t.Errorf("%v, %v after the follower was back", a.err, a.at.Sub(healed))
		}
	})
}

func TestCourier_TriesAtLeastEveryMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := NewCourier(w, blind{w})
		w.fails.Store(1)
		begun := time.Now()
		if _, err := c.append(entries(3, 7)); err != nil || time.Since(begun) != maxHold {
			t.Errorf("%v after %v, want it sent after %v although no probe is answered", err, time.Since(begun), maxHold)
		}
	})
}

// blind probes in vain.
type blind struct{ *wire }

func (blind) Probe(context.Context, raft.ServerID, raft.ServerAddress) error { return errAway }

func TestCourier_FollowerThatAnswersAndFailsIsLeftToRaft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		c := NewCourier(w, w)
		w.fails.Store(maxQuickFailures - 1) // streams that a restart left behind
		if _, err := c.append(entries(3, 7)); err != nil {
			t.Error(err)
		}
		w.fails.Store(1000)
		if _, err := c.append(entries(3, 8)); !errors.Is(err, errAway) {
			t.Errorf("%v, want the transport's error", err)
		}
		if left := w.fails.Load(); left != 1000-maxQuickFailures {
			t.Errorf("%d attempts, want %d", 1000-left, maxQuickFailures)
		}
	})
}

func TestCourier_CallThatHangsOverAnOutageIsCutAndSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.stuck.Store(true)
		c := NewCourier(w, w)
		held := later(func() error { _, err := c.append(entries(3, 7)); return err })
		pause(t.Context(), 2*time.Second+70*time.Millisecond)
		w.stuck.Store(false)
		healed := time.Now()
		a := <-held
		if took := a.at.Sub(healed); a.err != nil || took > probeTimeout+probePause || w.cuts.Load() != 1 {
			t.Errorf("%v, %v after the heal, %d cuts", a.err, took, w.cuts.Load())
		}
	})
}

func TestCourier_SlowFollowerIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.slow = 10 * time.Second
		c := NewCourier(w, w)
		if _, err := c.append(entries(3, 7)); err != nil || w.cuts.Load() != 0 {
			t.Errorf("%v, %d cuts", err, w.cuts.Load())
		}
		if got, most := w.probes.Load(), int64(w.slow/probePauseSlow)+1; got > most {
			t.Errorf("%d probes, want at most %d", got, most)
		}
	})
}

// jittery is a follower that is there all the time, to which probes may come late.
type jittery struct {
	*wire
	late func(probe int64) bool
}

func (j jittery) Probe(ctx context.Context, _ raft.ServerID, _ raft.ServerAddress) error {
	if !j.late(j.probes.Add(1)) {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestCourier_LateProbesDoNotCutACall(t *testing.T) {
	for name, test := range map[string]struct {
		late  func(probe int64) bool
		beats bool
	}{
		"one at a time, and heartbeats wait too": {late: func(n int64) bool { return n%3 == 0 }},
		"many, and heartbeats are answered":      {late: func(n int64) bool { return n%10 != 0 }, beats: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				w.slow = 30 * time.Second
				c := NewCourier(w, jittery{w, test.late})
				done := later(func() error { _, err := c.append(entries(3, 7)); return err })
				for range 310 {
					pause(t.Context(), 100*time.Millisecond)
					if test.beats {
						c.follower("b").beat(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{Success: true}, time.Now(), nil)
					}
				}
				if a := <-done; a.err != nil || w.cuts.Load() != 0 {
					t.Errorf("%v, %d cuts of a call to a follower that was there", a.err, w.cuts.Load())
				}
			})
		})
	}
}

func TestCourier_SnapshotWaitsForTheFollowerAndSurvivesAShortOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.fails.Store(1)
		c := NewCourier(w, w)
		install := func() error {
			return c.InstallSnapshot("b", "", &raft.InstallSnapshotRequest{Term: 3}, new(raft.InstallSnapshotResponse), nil)
		}
		if err := install(); !errors.Is(err, errAway) {
			t.Errorf("%v: what has been read cannot be sent again", err)
		}
		w.down.Store(true)
		held := later(install)
		pause(t.Context(), time.Hour)
		w.down.Store(false)
		if a := <-held; a.err != nil || w.sent.Load() != 1 {
			t.Errorf("%v, sent %d times", a.err, w.sent.Load())
		}
		w.stuck.Store(true)
		held = later(install)
		pause(t.Context(), outageOfSnapshot/2)
		w.stuck.Store(false)
		pause(t.Context(), time.Second)
		if w.cuts.Load() != 0 {
			t.Error("cut after a short outage")
		}
		w.stuck.Store(true)
		pause(t.Context(), 2*outageOfSnapshot)
		w.stuck.Store(false)
		if a := <-held; !errors.Is(a.err, errAway) || w.cuts.Load() != 1 {
			t.Errorf("%v, %d cuts, want one", a.err, w.cuts.Load())
		}
	})
}

func TestCourier_ShowsRaftWhatItLooksFor(t *testing.T) {
	_, inmem := raft.NewInmemTransport("")
	var transport raft.Transport = NewCourier(inmem, nil)
	if _, ok := transport.(raft.WithPreVote); !ok {
		t.Error("no pre-vote")
	}
	if _, ok := transport.(raft.WithClose); !ok {
		t.Error("no Close")
	}
	if _, err := transport.AppendEntriesPipeline("b", ""); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("pipelining would go past it: %v", err)
	}
}

func TestRaftLayer_CutEndsStreamsAndDialsToOneNode(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret})
		c, _ := serve(t, Options{NodeID: "c", Secret: secret})
		toB, _, err := pair(t, a, b, "b")
		if err != nil {
			t.Fatal(err)
		}
		toC, fromA, err := pair(t, a, c, "c")
		if err != nil {
			t.Fatal(err)
		}
		silent := silentListener(t)
		dial := later(func() error { _, err := a.Raft().Dial(RaftAddress("b", silent), 0); return err })
		probe := later(func() error { return a.ProbeRaft(t.Context(), RaftAddress("b", b.Addr())) })
		accepted, err := b.Raft().Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = accepted.Close()
		if got := <-probe; got.err != nil {
			t.Errorf("probe: %v", got.err)
		}
		eventually(t, func() error {
			a.dialer.conns.mu.Lock()
			defer a.dialer.conns.mu.Unlock()
			if a.dialer.conns.shaking.Len() == 0 {
				return errors.New("not dialling yet")
			}
			return nil
		})
		a.CutRaft("b")
		cut := time.Now()
		if got := <-dial; got.err == nil || got.at.Sub(cut) > defaultHandshakeTimeout/2 {
			t.Errorf("a dial went on for %v: %v", got.at.Sub(cut), got.err)
		}
		if _, err := toB.Read(make([]byte, 1)); err == nil {
			t.Error("a stream goes on")
		}
		if _, err := toC.Write([]byte("x")); err != nil {
			t.Errorf("another node's stream: %v", err)
		}
		if _, err := fromA.Read(make([]byte, 1)); err != nil {
			t.Errorf("another node's stream: %v", err)
		}
		if _, _, err := pair(t, a, b, "b"); err != nil {
			t.Errorf("a new stream: %v", err)
		}
	})
}
