package cluster

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestOblivion_UpToWhereAllHaveBeenOverForLongEnough(t *testing.T) {
	const after = 100 * time.Second
	up := func(sid string, changed uint64) Life { return Life{SID: sid, Epoch: 1, Changed: changed, Up: true} }
	ended := func(sid string, changed uint64) Life { return Life{SID: sid, Epoch: 1, Changed: changed} }
	var o oblivion
	look := func(n float64, lives ...Life) uint64 { return o.due(sec(n), lives, after) }
	second := 0
	watch := func(until int, lives ...Life) (got uint64) {
		for ; second <= until; second++ {
			got = look(float64(second), lives...)
		}
		return got
	}
	a, b, c := ended("a", 10), ended("b", 20), ended("c", 20)
	steps := []struct {
		until int
		lives []Life
		want  uint64
	}{
		{0, []Life{up("u", 99), a}, 0},
		{99, []Life{up("u", 99), a}, 0},
		{100, []Life{up("u", 5), a, b}, 10},        // b has just ended
		{150, []Life{up("u", 5), a, b, c}, 10},     // c later, but in the same entry as b
		{200, []Life{up("u", 5), a, b, c}, 10},     // b would be due, c is not
		{251, []Life{up("u", 5), a, b, c}, 20},     // seen first at 101
		{252, []Life{up("u", 5), up("a", 300)}, 0}, // all back, or gone
		{260, []Life{{SID: "a", Epoch: 2, Changed: 400}}, 0},
	}
	for _, s := range steps {
		if got := watch(s.until, s.lives...); got != s.want {
			t.Errorf("at second %d: up to %d, want %d", s.until, got, s.want)
		}
	}
	// An hour of sleep is no time to come back in.
	if got := look(260+3600, Life{SID: "a", Epoch: 2, Changed: 400}); got != 0 {
		t.Errorf("after a stall: up to %d", got)
	}
}

// archive is a state whose records can be forgotten.
type archive struct {
	*levelled
	upTo []uint64
}

func (a *archive) Forget(_ context.Context, index uint64) error {
	a.change(func() {
		a.upTo = append(a.upTo, index)
		a.lives = slices.DeleteFunc(a.lives, func(l Life) bool { return !l.Up && l.Changed <= index })
	})
	return nil
}

func TestForgetting_DropsWhatEndedLongAgoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := levelling(3, 3)
		a := &archive{levelled: s}
		f := &forgetting{state: a, forgetAfter: func() time.Duration { return 10 * time.Minute }, logger: slog.New(slog.DiscardHandler)}
		s.lives[1].Up, s.lives[1].Changed = false, 50
		end := leading(f.lead)
		pass(9 * time.Minute)
		end() // the next leader gives it the whole time again
		defer leading(f.lead)()
		pass(9 * time.Minute)
		s.change(func() { s.lives[2].Up, s.lives[2].Changed = false, 60 })
		if len(a.upTo) != 0 {
			t.Errorf("forgotten too early: %v", a.upTo)
		}
		pass(2 * time.Minute)
		if len(a.upTo) != 0 {
			t.Errorf("forgotten at a level that does not know how: %v", a.upTo)
		}
		s.mu.Lock()
		s.level = 3
		s.mu.Unlock()
		pass(time.Hour)
		if !slices.Equal(a.upTo, []uint64{50, 60}) {
			t.Errorf("forgotten up to %v", a.upTo)
		}
	})
}
