package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

// outlast blocks until after the caller's deadline. At the very instant of the
// deadline, which a bubble gives both ends, the answer might still be in time.
func outlast(ctx context.Context) {
	<-ctx.Done()
	<-time.After(10 * time.Millisecond)
}

// frontendsOfAllKinds have the sids of what their handlers do.
func frontendsOfAllKinds() []node.Config {
	handlers := map[string]node.PushHandler{
		"errs": func(context.Context, *node.Delivery) ([]string, error) {
			return nil, errors.New("session table is gone")
		},
		"panics": func(context.Context, *node.Delivery) ([]string, error) { panic("nil session") },
		"blocks": func(ctx context.Context, _ *node.Delivery) ([]string, error) {
			outlast(ctx)
			return nil, ctx.Err()
		},
		"offline": func(_ context.Context, d *node.Delivery) ([]string, error) {
			return append(slices.Sorted(d.UIDs())[:1], "never-a-receiver"), nil
		},
		"fine": func(context.Context, *node.Delivery) ([]string, error) { return nil, nil },
		"mute": nil,
	}
	var cfgs []node.Config
	for _, sid := range []string{"errs", "panics", "blocks", "offline", "fine", "mute"} {
		cfgs = append(cfgs, node.Config{SID: sid, SType: "connector", OnPush: handlers[sid]})
	}
	return append(cfgs, server("pusher", "chat"))
}

func TestPush_ReportsEachFrontendOnItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, frontendsOfAllKinds()...)
		n := f.Node("pusher")
		sids := []string{"blocks", "errs", "fine", "mute", "offline", "panics"} // sorted
		for _, sid := range sids {
			must(t, n.Add(ctx, "world", "a-"+sid, sid))
			must(t, n.Add(ctx, "world", "b-"+sid, sid))
		}
		must(t, n.Add(ctx, "world", "not-a-connector", "pusher"))
		var result node.PushResult
		err := timed(t, ctx, time.Second, func(ctx context.Context) (err error) {
			result, err = n.PushMessage(ctx, "connector", "chat.say", []byte("hi"), "world", node.PushOptions{})
			return err
		})
		must(t, err)

		want := map[string]struct {
			outcome node.Outcome
			reason  string // part of it
			failed  []string
		}{
			"blocks":  {node.Unknown, "", nil},
			"errs":    {node.NotDelivered, "session table is gone", nil},
			"fine":    {node.Delivered, "", nil},
			"mute":    {node.NotDelivered, "no push handler", nil},
			"offline": {node.Delivered, "", []string{"a-offline"}},
			"panics":  {node.NotDelivered, "nil session", nil},
		}
		var got []string
		for _, s := range result.Servers {
			got = append(got, s.SID)
			w := want[s.SID]
			if s.Outcome != w.outcome || !strings.Contains(s.Reason, w.reason) || !slices.Equal(s.Failed, w.failed) || s.Members != 2 {
				t.Errorf("report %+v, want %+v", s, w)
			}
			if (s.Reason == "") != (s.Outcome == node.Delivered) {
				t.Errorf("%s is %v for the reason %q", s.SID, s.Outcome, s.Reason)
			}
		}
		if diff := cmp.Diff(sids, got); diff != "" {
			t.Error(diff)
		}
		undelivered := slices.Sorted(result.Undelivered())
		missed := []string{"a-blocks", "a-errs", "a-mute", "a-offline", "a-panics", "b-blocks", "b-errs", "b-mute", "b-panics"}
		if diff := cmp.Diff(missed, undelivered); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a-offline"}, result.Failed); diff != "" {
			t.Error(diff)
		}
		if result.OK() || result.Members != 12 || result.Index == 0 {
			t.Errorf("result %+v", result)
		}
	})
}

func TestPush_GoesOnAfterAHandlerPanickedOrBlocked(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		moods := make(chan string, 2)
		cfgs := three()
		cfgs[0].OnPush = func(ctx context.Context, _ *node.Delivery) ([]string, error) {
			switch <-moods {
			case "panic":
				panic("once")
			case "block":
				outlast(ctx)
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c2")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		for _, mood := range []string{"panic", "block"} {
			moods <- mood
			if r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{Timeout: time.Second}); !errors.Is(err, node.ErrPushFailed) {
				t.Errorf("%s: %v %+v", mood, err, r)
			}
			moods <- "well"
			if r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{Timeout: time.Second}); err != nil || !r.OK() {
				t.Errorf("after %s: %v %+v", mood, err, r)
			}
		}
	})
}

func TestPush_ToNobodyIsNoError(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		for _, to := range []struct{ stype, name string }{{"connector", "nobody-here"}, {"no-such-type", "world"}} {
			r, err := n.PushMessage(ctx, to.stype, "r", nil, to.name, node.PushOptions{})
			if err != nil || r.Members != 0 || len(r.Servers) != 0 || !r.OK() {
				t.Errorf("%+v: %v %+v", to, err, r)
			}
		}
	})
}

func TestPush_FailsBesideItsReportIfNobodyIsDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		must(t, n.Add(ctx, "world", "bob", "c2"))
		r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{})
		if !errors.Is(err, node.ErrPushFailed) || r.OK() || r.Members != 2 || len(r.Servers) != 2 {
			t.Errorf("%v %+v", err, r)
		}
	})
}

func TestPush_ToADeadServerSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[1].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return nil, nil }
		cfgs[3].OnPush = cfgs[1].OnPush
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "c2"))
		must(t, n.Add(ctx, "world", "bob", "c4"))
		push := func() node.PushResult {
			t.Helper()
			r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{Timeout: time.Second})
			must(t, err)
			return r
		}
		if r := push(); !r.OK() {
			t.Fatalf("%+v", r)
		}
		f.Kill("c4")
		r := push()
		if got := r.Servers[0]; got.SID != "c2" || got.Outcome != node.Delivered {
			t.Errorf("the other server: %+v", got)
		}
		if got := r.Servers[1]; got.SID != "c4" || got.Outcome == node.Delivered || got.Reason == "" || got.Latency > time.Second+grace {
			t.Errorf("the dead server: %+v", got)
		}
		if diff := cmp.Diff([]string{"bob"}, slices.Collect(r.Undelivered())); diff != "" {
			t.Error(diff)
		}
		f.Eventually(ctx, func() error { // once the broken connection is noticed, it is known that nothing arrived
			if got := push().Servers[1]; got.Outcome != node.NotDelivered || !strings.Contains(got.Reason, "unreachable") {
				return fmt.Errorf("the dead server: %+v", got)
			}
			return nil
		})
	})
}

func TestPush_IsNeverHandedToAnotherLife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := append(four(), node.Config{SID: "c5", SType: "connector", NonVoter: true})
		cfgs[4].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return nil, nil }
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c5"))
		f.WaitEqual(ctx)
		old := f.Node("c5").Self().Epoch
		for _, sid := range []string{"c1", "c2", "c3"} { // the pusher does not learn of what follows
			f.Cut(sid, "c4")
		}
		f.Kill("c5")
		must(t, f.Restart("c5").Ready(ctx))
		if f.Node("c5").Self().Epoch == old {
			t.Fatal("no new life")
		}
		f.Eventually(ctx, func() error {
			r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{Timeout: time.Second})
			if len(r.Servers) != 1 {
				return fmt.Errorf("%v %+v", err, r)
			}
			if got := r.Servers[0]; got.Outcome != node.NotDelivered || !strings.Contains(got.Reason, "another life") {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
	})
}
