package state

import (
	"io"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

func tiny() *bench {
	o := defaults()
	o.Scale, o.Runs, o.Duration = 0.001, 1, 10*time.Millisecond
	return &bench{options: o, log: io.Discard, samples: make(map[string][]float64)}
}

func TestWorld_SteadyTrafficChangesEveryTimeAndKeepsItsSize(t *testing.T) {
	w, err := tiny().build(t.Context(), small10, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := len(w.all)
	var c chunk
	c.write(w, 20)
	changed, err := c.apply(w)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(changed, c.ops); err != nil {
		t.Error(err)
	}
	// An add of somebody who was there by chance, and his leave, change nothing.
	if got, most := memberships(w.replica), c.ops-changed; got > size || got < size-most {
		t.Errorf("got %d memberships, want %d, or up to %d fewer", got, size, most)
	}
}

func TestWorld_SessionsAreInTheState(t *testing.T) {
	s := small
	s.Sessions = true
	w, err := tiny().build(t.Context(), s, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.replica.View(func(state *fsm.State) {
		for _, m := range state.Members(w.names.channel(0)).Members() {
			if m.Session == 0 {
				t.Errorf("%+v has no session", m)
			}
		}
	})
}

func TestEffect_RefusedEntriesAreErrors(t *testing.T) {
	w, err := tiny().build(t.Context(), small, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	entry := w.steady(nil, 10)
	if _, err := effect(w.apply(entry)); err != nil {
		t.Fatal(err)
	}
	if changed, err := effect(w.apply(entry)); err == nil {
		t.Errorf("the same batches again changed %d and gave no error", changed)
	}
	if _, err := effect(w.apply([]byte("no entry"))); err == nil {
		t.Error("a halted state gave no error")
	}
	if err := check(89, 100); err == nil {
		t.Error("11 of 100 operations without effect gave no error")
	}
}

func TestPacer_KeepsItsRateAndRunsWhatIsAsked(t *testing.T) {
	w, err := tiny().build(t.Context(), small, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	const slow = 20 * time.Millisecond
	for range 2 { // the second one goes on where the first one ended
		p := w.pace(2000)
		p.ask(func() { time.Sleep(slow) })
		p.wait(50 * time.Millisecond)
		s, err := p.stop()
		if err != nil {
			t.Fatal(err)
		}
		if s.call < slow || s.late < slow {
			t.Errorf("a call of %v was asked for: got %+v", slow, s)
		}
		if due := 2000*s.took.Seconds() + 2; s.ops < 20 || float64(s.ops) > due { // a busy machine may be late, but nothing comes early
			t.Errorf("2,000 operations a second: got %+v", s)
		}
	}
}

func TestPacer_TellsThatItFailed(t *testing.T) {
	w, err := tiny().build(t.Context(), small, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.apply([]byte("no entry"))
	p := w.pace(2000)
	p.wait(time.Minute)
	p.ask(func() { t.Error("was run") })
	if _, err := p.stop(); err == nil {
		t.Error("got no error of a halted state")
	}
}
