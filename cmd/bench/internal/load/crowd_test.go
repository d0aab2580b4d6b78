package load

import (
	"context"
	"errors"
	"testing"
)

// room is a state that counts.
type room struct {
	members       map[Pair]bool
	adds, leaves  int
	absent, again int // leaves of nobody, adds of members
}

func newRoom() *room { return &room{members: make(map[Pair]bool)} }

func (r *room) add(_ context.Context, p Pair) error {
	if r.adds++; r.members[p] {
		r.again++
	}
	r.members[p] = true
	return nil
}

func (r *room) leave(_ context.Context, p Pair) error {
	if r.leaves++; !r.members[p] {
		r.absent++
	}
	delete(r.members, p)
	return nil
}

func (r *room) apply(ctx context.Context, add, leave []Pair) error {
	for _, p := range add {
		_ = r.add(ctx, p)
	}
	for _, p := range leave {
		_ = r.leave(ctx, p)
	}
	return nil
}

const rounds = 10_000

func (r *room) check(t *testing.T, most int) {
	t.Helper()
	if diff := r.adds - r.leaves; diff < 0 || diff > most {
		t.Errorf("%d adds and %d leaves: want equal parts", r.adds, r.leaves)
	}
	if len(r.members) > most {
		t.Errorf("%d members are left, want %d at most", len(r.members), most)
	}
	if r.again+r.absent > r.adds/100 {
		t.Errorf("%d of %d adds and %d of %d leaves would do nothing", r.again, r.adds, r.absent, r.leaves)
	}
}

func TestCrowd_AddsAndLeavesInEqualParts(t *testing.T) {
	r := newRoom()
	step := NewCrowd("").AddAndLeave(3, r.add, r.leave)
	for range rounds {
		if n, err := step(t.Context()); n != 1 || err != nil {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
	}
	r.check(t, held)
}

func TestCrowd_LeavesAgainAfterAnError(t *testing.T) {
	r := newRoom()
	fails := true
	step := NewCrowd("").AddAndLeave(0, r.add, func(ctx context.Context, p Pair) error {
		if fails = !fails; !fails {
			return errors.New("unknown outcome")
		}
		return r.leave(ctx, p)
	})
	for range rounds {
		_, _ = step(t.Context())
	}
	r.check(t, held)
}

func TestCrowd_GroupsAddAndLeaveInEqualParts(t *testing.T) {
	const size = 512
	r := newRoom()
	step := NewCrowd("").Groups(1, size, func(ctx context.Context, add, leave []Pair) error {
		if got := len(add) + len(leave); got != size {
			t.Fatalf("a group of %d, want %d", got, size)
		}
		return r.apply(ctx, add, leave)
	})
	for range 200 {
		if n, err := step(t.Context()); n != size || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, size)
		}
	}
	r.check(t, size)
}

func TestCrowd_CallersDiffer(t *testing.T) {
	r := newRoom()
	c := NewCrowd("x:")
	for caller := range 100 {
		step := c.AddAndLeave(caller, r.add, r.leave)
		_, _ = step(t.Context())
	}
	if len(r.members) < 99 {
		t.Errorf("100 callers added %d members: they do the same", len(r.members))
	}
	for p := range r.members {
		if p.Name[:2] != "x:" {
			t.Errorf("channel %q is without the prefix", p.Name)
		}
	}
}
