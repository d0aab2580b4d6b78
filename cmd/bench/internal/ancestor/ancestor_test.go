package ancestor

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/cmd/bench/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// delivered is what the handlers of all frontends got.
type delivered struct {
	mu  sync.Mutex // guards got
	got []string   // sid, route, message and uids of each call
}

func (d *delivered) serve(t *testing.T, sid string, offline ...string) Frontend {
	t.Helper()
	s, err := Serve(t.Context(), func(route string, msg []byte, uids []string) []string {
		slices.Sort(uids)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.got = append(d.got, fmt.Sprintf("%s %s %s %v", sid, route, msg, uids))
		return offline
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return Frontend{SID: sid, Addr: s.Addr}
}

func (d *delivered) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := slices.Sorted(slices.Values(d.got))
	d.got = nil
	return got
}

func dial(t *testing.T, addr string, frontends ...Frontend) *Client {
	t.Helper()
	c, err := Dial(t.Context(), Options{Redis: addr, Pool: 2, Frontends: frontends})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestClient_PushesToAllMembers(t *testing.T) {
	ctx := t.Context()
	var d delivered
	c := dial(t, redistest.Start(t), d.serve(t, "a"), d.serve(t, "b"), d.serve(t, "c"))
	for sid, uids := range map[string][]string{"a": {"x", "y"}, "b": {"z"}} {
		if err := c.Gather(ctx, "room", sid, uids); err != nil {
			t.Fatal(err)
		}
	}
	push := func(members int, want ...string) {
		t.Helper()
		if n, err := c.Push(ctx, "room", "chat", []byte("hi")); err != nil || n != members {
			t.Errorf("push: got %d members, %v, want %d", n, err, members)
		}
		if got := d.take(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	push(3, "a chat hi [x y]", "b chat hi [z]")
	if err := c.Add(ctx, []string{"room"}, "c", "late"); err != nil {
		t.Fatal(err)
	}
	push(4, "a chat hi [x y]", "b chat hi [z]", "c chat hi [late]")
	if err := c.Leave(ctx, []string{"room"}, "c", "late"); err != nil {
		t.Fatal(err)
	}
	push(3, "a chat hi [x y]", "b chat hi [z]")

	if err := c.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := c.redis.DBSize(ctx).Result(); n != 0 || err != nil {
		t.Errorf("left in Redis: %d keys, %v", n, err)
	}
	if n, err := c.Push(ctx, "room", "chat", nil); n != 0 || err != nil {
		t.Errorf("to nobody: got %d, %v", n, err)
	}
}

func TestClient_TellsWhoIsOffline(t *testing.T) {
	var d delivered
	c := dial(t, redistest.Start(t), d.serve(t, "a", "x"))
	if err := c.Gather(t.Context(), "room", "a", []string{"x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Push(t.Context(), "room", "chat", nil); err == nil {
		t.Error("got no error")
	}
}
