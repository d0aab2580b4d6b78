package history_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRecorder_KeepsTheOrderOfTimes(t *testing.T) {
	r := history.NewRecorder()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for range 200 {
				c := r.Invoke(history.Event{F: history.Add, Worker: worker + 1})
				c.Done(history.OK, func(e *history.Event) { e.Index = 7 })
			}
		})
	}
	wg.Wait()
	events := r.Events()
	for i := 1; i < len(events); i++ {
		if events[i].At <= events[i-1].At {
			t.Fatalf("event %d is at %v, the one before at %v", i, events[i].At, events[i-1].At)
		}
	}
	ops, err := history.Operations(events)
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) != 1600 {
		t.Errorf("got %d operations, want 1600", len(ops))
	}
	for _, op := range ops {
		if op.Index != 7 || op.Returned < op.Invoked {
			t.Fatalf("operation %+v: want index 7 and a return after its invocation", op)
		}
	}
}

// In a bubble no time passes between an answer and the next question, and still the one
// is before the other: what was acknowledged then must be seen.
func TestRecorder_OneAfterAnotherWhileTheClockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := history.NewRecorder()
		for range 2 {
			r.Invoke(history.Event{F: history.Add}).Done(history.OK, nil)
		}
		ops, err := history.Operations(r.Events())
		if err != nil {
			t.Fatal(err)
		}
		if ops[0].Returned >= ops[1].Invoked {
			t.Errorf("one returned at %v, the next was invoked at %v", ops[0].Returned, ops[1].Invoked)
		}
	})
}

// A fault is held back until an operation is under way: one from before the wait
// began proves nothing.
func TestTail_SeesWhatComesAfterItBegan(t *testing.T) {
	r := history.NewRecorder()
	old := r.Invoke(history.Event{F: history.Add, UID: "old"})
	tail := r.Tail()
	isInvoke := func(e history.Event) bool { return e.Type == history.Invoke }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tail.Await(ended, "nothing", isInvoke); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v before anything was invoked, want the end of the context", err)
	}
	found := make(chan error, 1)
	go func() { found <- tail.Await(t.Context(), "an invocation", isInvoke) }()
	old.Done(history.OK, nil)
	select {
	case err := <-found:
		t.Errorf("got %v for a completion", err)
	case <-time.After(10 * time.Millisecond):
	}
	r.Invoke(history.Event{F: history.Add, UID: "first"})
	r.Invoke(history.Event{F: history.Add, UID: "second"})
	if err := <-found; err != nil {
		t.Error(err)
	}
	if err := tail.Await(ended, "the second", func(e history.Event) bool { return e.UID == "second" }); err != nil {
		t.Errorf("%v, but it is there", err)
	}
}

func TestOperations_WithoutCompletionIsUnknown(t *testing.T) {
	r := history.NewRecorder()
	r.Note(history.Event{F: history.Fault, Text: "killed"})
	r.Invoke(history.Event{F: history.Add, UID: "never answered"})
	r.Invoke(history.Event{F: history.Leave, UID: "timed out"}).Done(history.Unknown, nil)
	ops, err := history.Operations(r.Events())
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) != 2 {
		t.Fatalf("got %d operations, want 2", len(ops))
	}
	for _, op := range ops {
		if op.Type != history.Unknown || op.Returned != history.Forever {
			t.Errorf("%s: got %s, returned %v; want unknown, never", op.UID, op.Type, op.Returned)
		}
		if waits := op.GaveUp == history.Forever; waits != (op.UID == "never answered") {
			t.Errorf("%s: its caller gave up at %v", op.UID, op.GaveUp)
		}
	}
}

func TestOperations_RefusesWhatIsNoHistory(t *testing.T) {
	invoke := history.Event{Type: history.Invoke, F: history.Add, Op: 1, At: 5}
	done := history.Event{Type: history.OK, F: history.Add, Op: 1, At: 6}
	other, early, strange := done, done, done
	other.F, early.At, strange.Type = history.Leave, 4, "maybe"
	for name, events := range map[string][]history.Event{
		"completion without invocation": {done},
		"two invocations":               {invoke, invoke},
		"two completions":               {invoke, done, done},
		"invoked again after the end":   {invoke, done, invoke},
		"completion of something else":  {invoke, other},
		"completion in the past":        {invoke, early},
		"unknown type":                  {invoke, strange},
		"no number":                     {{Type: history.Invoke, F: history.Add}},
	} {
		if _, err := history.Operations(events); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWriteTo_ReadsBack(t *testing.T) {
	r := history.NewRecorder()
	c := r.Invoke(history.Event{F: history.Read, Worker: 2, Via: "a", Channel: "room", MinIndex: 4})
	c.Done(history.OK, func(e *history.Event) {
		e.Index, e.Members = 9, []history.Member{{UID: "u\n", SID: "a"}, {UID: "v"}}
	})
	var buf bytes.Buffer
	if err := history.WriteTo(&buf, r.Events()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(buf.String(), "\n"); got != 2 {
		t.Errorf("got %d lines, want 2", got)
	}
	back, err := history.ReadFrom(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Events(), back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if _, err := history.ReadFrom(strings.NewReader("{\"op\":1}\n{oops")); err == nil {
		t.Error("a torn line was accepted")
	}
}
