package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func silentInbox(handle PushHandler) *inbox { return newInbox(handle, slog.New(slog.DiscardHandler)) }

// deliverFor is a push whose pusher waits for a second.
func deliverFor(t *testing.T, b *inbox, d *Delivery) delivered {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return b.deliver(&handing{ctx: ctx, d: d})
}

func TestInbox_PushesThatTimedOutGiveTheirPlaceFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stuck = maxInbox/maxLaneQueue + 1 // channels; enough to fill the inbox
		release := make(chan struct{})
		b := silentInbox(func(_ context.Context, d *Delivery) ([]string, error) {
			if d.Channel != "healthy" {
				<-release // whatever its context says
			}
			return nil, nil
		})
		for round := range 2 {
			var pushes sync.WaitGroup
			for c := range stuck * maxLaneQueue {
				pushes.Go(func() { deliverFor(t, b, &Delivery{Channel: fmt.Sprint(c % stuck), Msg: make([]byte, 10)}) })
			}
			pushes.Wait()
			if b.held != stuck || b.bytes != stuck*10 {
				t.Errorf("round %d: %d pushes with %d bytes are held; want the %d that handlers have", round, b.held, b.bytes, stuck)
			}
			if got := deliverFor(t, b, &Delivery{Channel: "healthy"}); got.outcome != Delivered {
				t.Errorf("round %d: a healthy channel: %+v", round, got)
			}
		}
		got := deliverFor(t, b, &Delivery{Channel: "0"})
		if got.outcome != NotDelivered || !strings.Contains(got.reason, "in the queue") {
			t.Errorf("a push that never got to the handler: %+v", got)
		}
		close(release)
		synctest.Wait()
		if b.held != 0 || b.bytes != 0 || len(b.lanes) != 0 {
			t.Errorf("at rest %d pushes, %d bytes, %d lanes are held", b.held, b.bytes, len(b.lanes))
		}
	})
}

func TestInbox_KeepsTheOrderAroundAPushThatTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var order []string
		b := silentInbox(func(_ context.Context, d *Delivery) ([]string, error) {
			<-release
			order = append(order, d.Route)
			return nil, nil
		})
		for _, route := range []string{"1", "2", "late", "3", "4"} {
			go func() {
				d := &Delivery{Channel: "world", Route: route}
				if route == "late" {
					deliverFor(t, b, d)
				} else {
					b.deliver(&handing{ctx: t.Context(), d: d})
				}
			}()
			synctest.Wait()
		}
		<-time.After(2 * time.Second) // the bubble's time
		close(release)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1", "2", "3", "4"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestInbox_RefusesMoreBytesThanItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := silentInbox(func(context.Context, *Delivery) ([]string, error) {
			<-release
			return nil, nil
		})
		var pushes sync.WaitGroup
		push := func(d *Delivery) {
			pushes.Go(func() {
				if got := b.deliver(&handing{ctx: t.Context(), d: d}); got.outcome != Delivered {
					t.Errorf("%s: %+v", d.Channel, got)
				}
			})
			synctest.Wait()
		}
		msg := make([]byte, maxInboxBytes/4)
		for c := range 3 {
			push(&Delivery{Channel: fmt.Sprint(c % 2), Msg: msg}) // also one that waits
		}
		push(&Delivery{Channel: "3", uids: []string{strings.Repeat("u", maxInboxBytes/4-16)}})
		got := deliverFor(t, b, &Delivery{Channel: "4", Msg: []byte("x")})
		if got.outcome != NotDelivered || !strings.Contains(got.reason, "queue full") {
			t.Errorf("one byte too many: %+v", got)
		}
		close(release)
		pushes.Wait()
		push(&Delivery{Channel: "5", Msg: make([]byte, maxInboxBytes+1)}) // or it could never be delivered
		pushes.Wait()
	})
}

func TestInbox_AHandlerThatDoesNotReturnHarmsOnlyItsPush(t *testing.T) {
	for _, c := range []struct {
		reason string
		fail   func()
	}{
		{"handler ended its goroutine", runtime.Goexit},
		{"handler panicked: boom", func() { panic("boom") }},
	} {
		synctest.Test(t, func(t *testing.T) {
			all := make(chan struct{})
			b := silentInbox(func(_ context.Context, d *Delivery) ([]string, error) {
				<-all
				if d.Route == "bad" {
					c.fail()
				}
				return nil, nil
			})
			var pushes sync.WaitGroup
			got := make([]delivered, 4)
			for i, route := range []string{"good", "bad", "bad", "good"} {
				pushes.Go(func() { got[i] = deliverFor(t, b, &Delivery{Channel: "world", Route: route}) })
				synctest.Wait()
			}
			close(all)
			pushes.Wait()
			for i, want := range []delivered{{outcome: Delivered}, {NotDelivered, c.reason, nil}, {NotDelivered, c.reason, nil}, {outcome: Delivered}} {
				if got[i].outcome != want.outcome || got[i].reason != want.reason {
					t.Errorf("%s: push %d: %+v; want %+v", c.reason, i, got[i], want)
				}
			}
			if err := b.close(t.Context()); err != nil || b.held != 0 {
				t.Errorf("%s: close: %v; %d are held", c.reason, err, b.held)
			}
		})
	}
}

func TestInbox_ReasonsAreShortAndFitIntoAMessage(t *testing.T) {
	ways := map[string]func(text string) error{
		"error":             errors.New,
		"panic":             func(text string) error { panic(text) },
		"attached frontend": func(text string) error { return &handlerOutcome{Unknown, text} },
	}
	for way, fail := range ways {
		for what, c := range map[string]struct{ text, part string }{
			"plain":          {"session 7 is broken", "session 7 is broken"},
			"long":           {strings.Repeat("x", 4<<20), strings.Repeat("x", maxReason-50)},
			"not UTF-8":      {"session \xff\xfe is broken", "session \uFFFD is broken"},
			"grows":          {strings.Repeat("\xffa", maxReason), "\uFFFDa\uFFFDa"},
			"no rune at all": {strings.Repeat("\x80", 4*maxReason), "\uFFFD"},
			"cut in a rune":  {strings.Repeat("€", maxReason), strings.Repeat("€", maxReason/3-20)},
			"cut in another": {"x" + strings.Repeat("€", maxReason), strings.Repeat("€", maxReason/3-20)},
		} {
			b := silentInbox(func(context.Context, *Delivery) ([]string, error) { return nil, fail(c.text) })
			got := b.deliver(&handing{ctx: t.Context(), d: &Delivery{Channel: "world"}}).reason
			if !utf8.ValidString(got) || len(got) > maxReason || !strings.Contains(got, c.part) ||
				strings.Contains(got, "\uFFFD") && utf8.ValidString(c.text) {
				t.Errorf("%s, %s: %d bytes: %.100q", way, what, len(got), got)
			}
			if err := b.close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestInbox_AHandlersContextEndsWithItsPushItsHandlerAndItsFrontend(t *testing.T) {
	for end, cause := range map[string]error{"deadline": context.DeadlineExceeded, "return": context.Canceled, "close": ErrClosed} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			contexts := make(chan context.Context)
			b := silentInbox(func(ctx context.Context, _ *Delivery) ([]string, error) {
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				contexts <- ctx
				if end != "return" {
					<-child.Done()
				}
				return nil, nil
			})
			go b.deliver(&handing{ctx: ctx, d: &Delivery{Channel: "world"}})
			got := <-contexts
			if deadline, ok := got.Deadline(); !ok || time.Until(deadline) != time.Minute || got.Err() != nil && end != "return" || !handling(got, "world") || handling(got, "other") {
				t.Errorf("%s: %v", end, got.Err())
			}
			if end == "close" {
				if err := b.close(ctx); err != nil {
					t.Error(err)
				}
			}
			<-got.Done()
			if got.Err() == nil || end == "deadline" && !errors.Is(got.Err(), cause) {
				t.Errorf("%s: %v", end, got.Err())
			}
			synctest.Wait()
			if err := b.close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInbox_AContextThatIsAskedAfterTheHandlersReturnIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 1)
		b := silentInbox(func(ctx context.Context, _ *Delivery) ([]string, error) {
			contexts <- ctx
			return nil, nil
		})
		b.deliver(&handing{ctx: t.Context(), d: &Delivery{Channel: "world"}})
		synctest.Wait()
		ctx := <-contexts
		<-ctx.Done() // and nothing waits for the end of the frontend
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error(ctx.Err())
		}
		if err := b.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRepeats_SoManyWaitAndNoMore(t *testing.T) {
	var ids repeats
	first := ids.begin("id", make(answered, 1))
	refused := 0
	for range 10 * maxRepeating {
		a := make(answered, 1)
		if ids.begin("id", a) != nil {
			t.Fatal("handed over again")
		}
		if len(a) > 0 {
			refused++
		}
	}
	if waiting := 10*maxRepeating - refused; waiting != maxRepeating {
		t.Errorf("%d wait", waiting)
	}
	first.settle(delivered{outcome: Delivered})
	a := make(answered, 1)
	if ids.begin("id", a); (<-a).outcome != Delivered {
		t.Error("the answer is forgotten")
	}
}
