package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/mapstore"
)

// purgeStore has a PurgeSID that the test plays.
type purgeStore struct {
	mapstore.Store
	purge func(ctx context.Context, sid string) error
}

func (s *purgeStore) PurgeSID(ctx context.Context, sid string) error { return s.purge(ctx, sid) }

// newTestPurger is a purger over a state that the test writes, and nothing else.
func newTestPurger(t *testing.T, purge func(ctx context.Context, sid string) error) (*treachery, *purger) {
	t.Helper()
	n := &Node{cfg: Config{Timeout: time.Minute, ChannelManager: &purgeStore{purge: purge}}, log: slog.New(slog.DiscardHandler)}
	n.ctx, n.cancel = context.WithCancelCause(t.Context())
	tr := newTreachery(t, 1)
	n.replica, n.managed = tr.replica, newManaged(n)
	p := newPurger(n)
	p.catchUp = func(context.Context) error { return nil }
	return tr, p
}

func (tr *treachery) end(sid string, epoch uint64) {
	tr.apply(&fsmpb.Entry{Command: &fsmpb.Entry_ServerDown{ServerDown: &fsmpb.ServerDown{Sid: sid, Epoch: epoch}}})
}

func TestPurger_HoldEndsTheCallAndLetsNoneBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lag = 300 * time.Millisecond // from the end of its context to the call's return
		var calls, returned atomic.Int64
		tr, p := newTestPurger(t, func(ctx context.Context, _ string) error {
			calls.Add(1)
			<-ctx.Done()
			wait(t.Context(), lag)
			returned.Add(1)
			return ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		tr.end("a", tr.register("a"))
		over := make(chan struct{})
		go func() { defer close(over); p.run(ctx) }()
		synctest.Wait()
		if calls.Load() != 1 {
			t.Fatalf("%d calls", calls.Load())
		}

		start := time.Now()
		release := p.hold(ctx, "a")
		if took := time.Since(start); took != lag || returned.Load() != 1 {
			t.Errorf("hold took %v, and %d calls had returned", took, returned.Load())
		}
		wait(ctx, time.Hour)
		if calls.Load() != 1 {
			t.Errorf("%d calls while it was held", calls.Load())
		}
		release()
		wait(ctx, 2*purgePauseMax) // nothing came of the registration
		if calls.Load() != 2 {
			t.Errorf("%d calls after the release", calls.Load())
		}

		release = p.hold(ctx, "a")
		tr.register("a")
		release()
		wait(ctx, time.Hour)
		if calls.Load() != 2 {
			t.Errorf("%d calls once a new life was up", calls.Load())
		}
		cancel()
		<-over
	})
}

func TestPurger_HoldDoesNotWaitForWhatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var calls atomic.Int64
		tr, p := newTestPurger(t, func(context.Context, string) error { calls.Add(1); <-end; return errors.New("late") })
		ctx, cancel := context.WithCancel(t.Context())
		epoch := tr.register("a")
		tr.end("a", epoch)
		over := make(chan struct{})
		go func() { defer close(over); p.run(ctx) }()
		synctest.Wait()
		start := time.Now()
		p.hold(ctx, "a")()
		if took := time.Since(start); took != purgeYield {
			t.Errorf("hold took %v", took)
		}
		// The sid goes on, and ends again: its first call is in the way of another one.
		again := tr.register("a")
		synctest.Wait()
		tr.end("a", again)
		wait(ctx, time.Hour)
		if calls.Load() != 1 {
			t.Errorf("%d calls at once", calls.Load())
		}
		close(end)
		wait(ctx, 2*purgePauseMax)
		if calls.Load() < 2 {
			t.Error("the second life is not purged")
		}
		cancel()
		<-over
	})
}

// Changes of other servers repeat nothing.
func TestPurger_PurgesEachLifeOnceInATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards calls
		calls := make(map[string]int)
		tr, p := newTestPurger(t, func(_ context.Context, sid string) error {
			mu.Lock()
			defer mu.Unlock()
			calls[sid]++
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); p.run(ctx) }()
		for _, sid := range []string{"a", "b", "c", "a", "b"} {
			epoch := tr.register(sid)
			synctest.Wait()
			tr.end(sid, epoch)
			synctest.Wait()
		}
		cancel()
		<-over
		mu.Lock()
		defer mu.Unlock()
		if calls["a"] != 2 || calls["b"] != 2 || calls["c"] != 1 {
			t.Errorf("calls %v", calls)
		}
	})
}

// A life that has a successor by the time that this node has caught up is let alone.
func TestPurger_SparesALifeThatTurnsOutToHaveBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		tr, p := newTestPurger(t, func(context.Context, string) error { calls.Add(1); return nil })
		tr.end("a", tr.register("a"))
		caught := false
		p.catchUp = func(context.Context) error {
			if !caught {
				tr.register("a")
				caught = true
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		p.run(ctx)
		if calls.Load() != 0 || !caught {
			t.Errorf("%d calls, caught up: %v", calls.Load(), caught)
		}
	})
}
