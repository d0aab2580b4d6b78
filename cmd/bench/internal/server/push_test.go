package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGathering_FrontendsHavePlayersOfTheirOwn(t *testing.T) {
	g := Gathering{Channels: []string{"a", "b"}, SIDs: []string{"x", "y"}, Each: 2, Players: 3}
	got := [][]string{g.uids(0, 0), g.uids(1, 0), g.uids(0, 1), g.uids(1, 1)}
	want := [][]string{
		{"player-000000", "player-000001"}, {"player-000002", "player-000000"},
		{"player-000003", "player-000004"}, {"player-000005", "player-000003"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uids (-want +got):\n%s", diff)
	}
}

func TestChurn_ALateMemberComesAndGoesOnEachServer(t *testing.T) {
	var got []string
	change := func(what string) changing {
		return func(_ context.Context, channels []string, sid, uid string) error {
			got = append(got, fmt.Sprintf("%s %s %s %s", what, uid, sid, strings.Join(channels, "+")))
			return nil
		}
	}
	c := &Churn{Channels: []string{"a", "b"}, SIDs: []string{"x", "y"}}
	step := c.steps(change("add"), change("leave"))(1)
	for range 4 {
		if n, err := step(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	want := []string{"add late-1 y a+b", "leave late-1 y a+b", "add late-1 x a+b", "leave late-1 x a+b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestChurn_RepeatsWhatFailed(t *testing.T) {
	failures, adds := 1, 0
	add := func(context.Context, []string, string, string) error {
		adds++
		if failures > 0 {
			failures--
			return errors.New("overloaded")
		}
		return nil
	}
	leave := func(context.Context, []string, string, string) error {
		t.Error("left before it was in")
		return nil
	}
	step := (&Churn{Channels: []string{"a"}, SIDs: []string{"x"}}).steps(add, leave)(0)
	if _, err := step(t.Context()); err == nil {
		t.Error("got no error")
	}
	if _, err := step(t.Context()); err != nil || adds != 2 {
		t.Errorf("got %v after %d adds", err, adds)
	}
}

func TestPush_CountsOnlyWhatReachedAllMembers(t *testing.T) {
	o := &Push{Channels: []string{"a", "b", "c"}, Members: 10, Spare: 1, Bytes: 3}
	answers := []struct {
		members int
		err     error
	}{{10, nil}, {11, nil}, {9, nil}, {12, nil}, {10, errors.New("timeout")}}
	var channels []string
	push := func(_ context.Context, channel string, msg []byte) (int, error) {
		a := answers[len(channels)]
		channels = append(channels, channel)
		if len(msg) != 3 {
			t.Errorf("a message of %d bytes", len(msg))
		}
		return a.members, a.err
	}
	counts := &tally{}
	step := o.caller(1, push, counts)
	for i := range answers {
		if n, err := step(t.Context()); (err == nil) != (i < 2) || (n == 1) != (i < 2) {
			t.Errorf("push %d: got %d, %v", i, n, err)
		}
	}
	if got := counts.pushes.Load(); got != 2 {
		t.Errorf("pushes: got %d, want 2", got)
	}
	if got := counts.failed.Load(); got != 3 {
		t.Errorf("failed: got %d, want 3", got)
	}
	if want := []string{"b", "c", "a", "b", "c"}; !slices.Equal(channels, want) {
		t.Errorf("channels: got %v, want %v", channels, want)
	}
}

func TestTallies_CountByRoute(t *testing.T) {
	all := newTallies()
	measured, err := all.of(RouteMeasured)
	if err != nil {
		t.Fatal(err)
	}
	for _, uids := range [][]string{{"a", "b"}, {"c"}} {
		if err := measured.deliver(slices.Values(uids)); err != nil {
			t.Error(err)
		}
	}
	if err := measured.deliver(slices.Values([]string{"a", ""})); err == nil {
		t.Error("an empty uid: got no error")
	}
	if n, uids := measured.deliveries.Load(), measured.uids.Load(); n != 2 || uids != 3 {
		t.Errorf("got %d deliveries to %d, want 2 to 3", n, uids)
	}
	if beside, err := all.of(RouteBeside); err != nil || beside.deliveries.Load() != 0 {
		t.Errorf("the other route: got %d deliveries, %v", beside.deliveries.Load(), err)
	}
	if _, err := all.of("other"); err == nil {
		t.Error("an unknown route: got no error")
	}
}
