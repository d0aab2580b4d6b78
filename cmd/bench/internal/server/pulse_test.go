package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
)

func newPulse() *pulse { return &pulse{news: make(chan struct{}), cancel: func() {}} }

const ms = time.Millisecond

func TestPulse_FirstIsOfAWriteBegunLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPulse()
		got := make(chan time.Duration, 1)
		go func() {
			at, err := p.first(t.Context(), 100*ms)
			if err != nil {
				t.Error(err)
			}
			got <- at
		}()
		p.note(ack{90 * ms, 120 * ms}, nil)                 // answered by the dead: its answer was on its way
		p.note(ack{105 * ms, 130 * ms}, errors.New("late")) // not acknowledged
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("got %v, want none yet", <-got)
		}
		p.note(ack{110 * ms, 900 * ms}, nil)
		if at := <-got; at != 900*ms {
			t.Errorf("got %v, want 900 ms", at)
		}
		if at, err := p.first(t.Context(), 100*ms); err != nil || at != 900*ms {
			t.Errorf("asked again: got %v, %v, want 900 ms", at, err)
		}
	})
}

func TestPulse_FirstEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPulse().first(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestPulse_Gap(t *testing.T) {
	p := newPulse()
	for _, ended := range []time.Duration{10 * ms, 400 * ms, 410 * ms, 500 * ms, 640 * ms, 650 * ms} {
		p.note(ack{ended - ms, ended}, nil)
	}
	for _, c := range []struct {
		since, now, want time.Duration
	}{
		{420 * ms, 660 * ms, 140 * ms},  // 500 to 640
		{505 * ms, 660 * ms, 140 * ms},  // had begun before
		{100 * ms, 660 * ms, 390 * ms},  // likewise
		{600 * ms, 900 * ms, 250 * ms},  // goes on
		{700 * ms, 1000 * ms, 300 * ms}, // nothing since then
	} {
		if got := p.gap(c.since, c.now); got != c.want {
			t.Errorf("gap since %v, at %v: got %v, want %v", c.since, c.now, got, c.want)
		}
	}
}

func TestPulse_ForgetsWhatIsOld(t *testing.T) {
	p := newPulse()
	for i := range 100 {
		at := time.Duration(i) * time.Second
		p.note(ack{at, at}, nil)
	}
	if got, want := len(p.acked), int(pulseKept/time.Second)+1; got != want {
		t.Errorf("keeps %d acknowledgements, want %d", got, want)
	}
}

func TestPulse_WritesAreNotHeldUpByOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		release := make(chan struct{})
		add := func(context.Context, load.Pair) error {
			if !hung.Swap(true) {
				<-release
				return errors.New("unknown")
			}
			return nil
		}
		leave := func(context.Context, load.Pair) error { return nil }
		p := startPulse(add, leave, load.NewCrowd(""))
		for range 100 {
			p.mu.Lock()
			news := p.news
			p.mu.Unlock()
			<-news
		}
		close(release)
		sum := p.stop()
		if sum.Writes < 100 || sum.Errors != 1 || sum.Error != "unknown" {
			t.Errorf("got %+v, want at least 100 writes, one of them failed", sum)
		}
	})
}

func TestInfoField(t *testing.T) {
	const text = "# CPU\r\nused_cpu_sys:1.5\r\nused_cpu_user:2.25\r\nused_cpu_user_children:9\r\n"
	if got, want := infoField(text, "used_cpu_user"), "2.25"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := infoField(text, "absent"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}
