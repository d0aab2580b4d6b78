package node

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// fakeLeader answers when the test says so.
type fakeLeader struct {
	elected  chan struct{} // closed: there is a leader
	requests chan request
	pauses   []time.Duration
}

// request is one that the fake got.
type request struct {
	ctx    context.Context
	answer chan reply
}

type reply struct {
	index uint64
	err   error
}

func (l *fakeLeader) await(ctx context.Context) error {
	if !await(ctx, l.elected) {
		return ErrNoLeader
	}
	return nil
}

func (l *fakeLeader) changed() <-chan struct{} { return nil }

func (l *fakeLeader) readIndex(ctx context.Context) (uint64, error) {
	r := request{ctx, make(chan reply, 1)}
	l.requests <- r
	select {
	case a := <-r.answer:
		return a.index, a.err
	case <-ctx.Done():
		return 0, ended(ctx)
	}
}

func (l *fakeLeader) pause(ctx context.Context, _ <-chan struct{}, d time.Duration) {
	l.pauses = append(l.pauses, d)
	wait(ctx, d)
}

// asking runs a test of readIndexes in a bubble.
func asking(t *testing.T, test func(t *testing.T, l *fakeLeader, q *readIndexes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLeader{elected: make(chan struct{}), requests: make(chan request, 100)}
		q := newReadIndexes(l, new(age))
		defer q.close()
		test(t, l, q)
	})
}

// begin starts a read that gets an index, and returns when it waits.
func begin(ctx context.Context, q *readIndexes, since time.Time) <-chan reply {
	done := make(chan reply, 1)
	go func() {
		index, err := q.get(ctx, since)
		done <- reply{index, err}
	}()
	synctest.Wait()
	return done
}

func wantReply(t *testing.T, what string, done <-chan reply, want uint64) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-done:
		if got.err != nil || got.index != want {
			t.Errorf("%s: %d, %v; want index %d", what, got.index, got.err, want)
		}
	default:
		t.Errorf("%s: no answer, want index %d", what, want)
	}
}

func wantRequests(t *testing.T, l *fakeLeader, want int) {
	t.Helper()
	synctest.Wait()
	if got := len(l.requests); got != want {
		t.Fatalf("%d requests, want %d", got, want)
	}
}

func TestReadIndexes_AnswerOnlyReadsThatBeganBeforeTheRequest(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		early := []<-chan reply{begin(t.Context(), q, time.Now()), begin(t.Context(), q, time.Now())}
		wantRequests(t, l, 0) // to nobody
		close(l.elected)
		wantRequests(t, l, 1)
		var late []<-chan reply
		for range 50 {
			late = append(late, begin(t.Context(), q, time.Now()))
		}
		wantRequests(t, l, 1)
		(<-l.requests).answer <- reply{index: 7}
		for _, done := range early {
			wantReply(t, "early", done, 7)
		}
		wantRequests(t, l, 1)
		if len(late[0]) != 0 {
			t.Fatal("a read that began later got the answer")
		}
		(<-l.requests).answer <- reply{index: 9}
		for _, done := range late {
			wantReply(t, "late", done, 9)
		}
		wantRequests(t, l, 0)
	})
}

func TestReadIndexes_AnAllowedStalenessJoinsTheRequestUnderWay(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		begin(t.Context(), q, time.Now())
		wait(t.Context(), 10*time.Millisecond)
		young := begin(t.Context(), q, time.Now().Add(-20*time.Millisecond))
		old := begin(t.Context(), q, time.Now().Add(-10*time.Millisecond))
		(<-l.requests).answer <- reply{index: 7}
		wantReply(t, "sent within the staleness", young, 7)
		wantRequests(t, l, 1)
		(<-l.requests).answer <- reply{index: 8}
		wantReply(t, "sent before", old, 8)
	})
}

func TestReadIndexes_RepeatAFailedRequest(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		first := begin(t.Context(), q, time.Now())
		second := begin(t.Context(), q, time.Now())
		for range 10 {
			(<-l.requests).answer <- reply{err: errors.New("lost the election")}
			synctest.Wait()
		}
		(<-l.requests).answer <- reply{index: 7}
		wantReply(t, "first", first, 7)
		wantReply(t, "second, which the failed request has let in", second, 7)
		if l.pauses[0] != readIndexPauseMin || l.pauses[9] != readIndexPauseMax {
			t.Errorf("pauses %v, want them to grow from %v to %v", l.pauses, readIndexPauseMin, readIndexPauseMax)
		}
		if old, known := q.age.now(7); !known || old != 0 {
			t.Errorf("age %v, %v; want that of the last request", old, known)
		}
	})
}

func TestReadIndexes_WhoLeavesEndsOnlyItsOwnWait(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		ctx, cancel := context.WithCancel(t.Context())
		stays, leaves := begin(t.Context(), q, time.Now()), begin(ctx, q, time.Now())
		sent := <-l.requests
		cancel()
		if got := <-leaves; !errors.Is(got.err, context.Canceled) {
			t.Errorf("%v", got)
		}
		synctest.Wait()
		if sent.ctx.Err() != nil {
			t.Error("the request was cancelled for all")
		}
		sent.answer <- reply{index: 7}
		wantReply(t, "the other", stays, 7)
		wantRequests(t, l, 0)
	})
}

func TestReadIndexes_ARequestNobodyWaitsForIsCancelled(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		// While there is no leader, in a request, and in the pause after one.
		ctx, cancel := context.WithCancel(t.Context())
		begin(ctx, q, time.Now())
		cancel()
		synctest.Wait()
		if q.running {
			t.Error("still waits for a leader")
		}
		close(l.elected)
		ctx, cancel = context.WithCancel(t.Context())
		begin(ctx, q, time.Now())
		sent := <-l.requests
		later := begin(t.Context(), q, time.Now())
		cancel()
		synctest.Wait()
		if sent.ctx.Err() == nil {
			t.Error("the request goes on for nobody")
		}
		(<-l.requests).answer <- reply{index: 7}
		wantReply(t, "who came later", later, 7)

		ctx, cancel = context.WithCancel(t.Context())
		done := begin(ctx, q, time.Now())
		(<-l.requests).answer <- reply{err: errors.New("lost the election")}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if q.running {
			t.Error("still pauses")
		}
		if got := <-done; !errors.Is(got.err, context.Canceled) || !strings.Contains(got.err.Error(), "lost the election") {
			t.Errorf("%v, want the context's error and why it took so long", got.err)
		}
	})
}

func TestReadIndexes_CloseEndsEverything(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		inFlight := begin(t.Context(), q, time.Now())
		waiting := begin(t.Context(), q, time.Now())
		q.close()
		for _, done := range []<-chan reply{inFlight, waiting, begin(t.Context(), q, time.Now())} {
			if got := <-done; !errors.Is(got.err, ErrClosed) {
				t.Errorf("%v", got)
			}
		}
		if q.spawn(func() { t.Error("started") }) {
			t.Error("spawn after close")
		}
	})
}

// A read that came while a request was under way got that one's answer, which may
// be from before a write that was acknowledged meanwhile.
func TestReader_TakesOnlyAnAnswerToARequestThatIsLateEnough(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		registered := &life{ready: make(chan struct{})}
		registered.open(nil)
		replica := fsm.NewReplica()
		r := &reader{
			trusted: func() error { return nil },
			replica: replica, life: registered, known: func() bool { return true },
			bound:   func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
			indexes: q, age: q.age, refresh: newRefresher(q, q.age, replica.Index),
		}
		begin(t.Context(), q, time.Now()) // somebody else's
		wait(t.Context(), 30*time.Millisecond)
		done := make(chan string, 3)
		for name, o := range map[string]ReadOption{
			"linearizable": Linearizable(), "20 ms": MaxStaleness(20 * time.Millisecond), "40 ms": MaxStaleness(40 * time.Millisecond),
		} {
			go func() {
				if err := r.view(t.Context(), []ReadOption{o}, func(fsm.Reads) {}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				done <- name
			}()
		}
		synctest.Wait()
		(<-l.requests).answer <- reply{} // of the empty state
		if got := <-done; got != "40 ms" {
			t.Errorf("%s took the answer to a request that was sent before", got)
		}
		wantRequests(t, l, 1)
		if len(done) != 0 {
			t.Errorf("%s took the answer to a request that was sent before", <-done)
		}
		(<-l.requests).answer <- reply{}
		<-done
		<-done
	})
}

func TestRefresher_AsksAsOftenAsReadsNeedItAndStops(t *testing.T) {
	asking(t, func(t *testing.T, l *fakeLeader, q *readIndexes) {
		close(l.elected)
		var applied atomic.Uint64
		f := newRefresher(q, q.age, applied.Load)
		// for ms of reads with staleness d: how often the leader was asked
		asked := func(d time.Duration, ms int, answer bool) int {
			n := 0
			for range ms {
				if d > 0 {
					f.keep(d)
				}
				for synctest.Wait(); len(l.requests) > 0; synctest.Wait() {
					n++
					if r := <-l.requests; answer {
						r.answer <- reply{index: applied.Add(1)}
					}
				}
				wait(t.Context(), time.Millisecond)
			}
			return n
		}
		check := func(what string, got, low, high int) {
			t.Helper()
			if got < low || got > high {
				t.Errorf("%s: asked %d times, want %d to %d", what, got, low, high)
			}
		}
		check("1 s of 40 ms", asked(40*time.Millisecond, 1000, true), 49, 51)
		check("1 s of 1 ms", asked(time.Millisecond, 1000, true), 199, 201)
		check("1 s of 200 ms, after it", asked(200*time.Millisecond, 1000, true), 10, 16)
		check("then nobody", asked(0, 1000, true), 0, 5)
		f.mu.Lock()
		if f.running {
			t.Error("still runs without reads")
		}
		f.mu.Unlock()
		check("1 s without answers", asked(40*time.Millisecond, 1000, false), 1, 11)
		asked(0, 1000, true) // the end of that
		for range 50 {       // batches keep it fresh
			q.age.note(time.Now(), applied.Add(1))
			check("beside batches", asked(40*time.Millisecond, 10, true), 0, 0)
		}
		f.measure()
		f.measure()
		wantRequests(t, l, 1)
	})
}
