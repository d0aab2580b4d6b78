package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

func TestPush_KeepsCallOrderWithinAChannel(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var mu sync.Mutex
		got := make(map[string][]string)
		running := make(map[string]bool)
		cfgs := three()
		cfgs[2].OnPush = func(_ context.Context, d *node.Delivery) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			if running[d.Channel] {
				t.Errorf("two handlers of %s at once", d.Channel)
			}
			running[d.Channel] = true
			mu.Unlock()
			mu.Lock()
			running[d.Channel] = false
			got[d.Channel] = append(got[d.Channel], string(d.Msg))
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c1")
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprint(i))
		}
		channels := []string{"guild:1", "guild:2", "guild:3"}
		var wg sync.WaitGroup
		for _, name := range channels {
			must(t, n.Add(ctx, name, "alice", "c3"))
			wg.Go(func() {
				for _, msg := range want {
					if r, err := n.PushMessage(ctx, "connector", "r", []byte(msg), name, node.PushOptions{}); err != nil || !r.OK() {
						t.Errorf("%v %+v", err, r)
					}
				}
			})
		}
		wg.Wait()
		for _, name := range channels {
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Error(name, diff)
			}
		}
	})
}

func TestPush_ChannelsDoNotWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		second := make(chan struct{})
		cfgs := three()
		cfgs[0].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
			if d.Channel == "second" {
				close(second)
				return nil, nil
			}
			select { // the first ends only because the second is handled meanwhile
			case <-second:
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		f := readyCluster(t, ctx, cfgs...)
		var wg sync.WaitGroup
		for _, name := range []string{"first", "second"} {
			must(t, f.Node("c2").Add(ctx, name, "alice", "c1"))
		}
		for _, name := range []string{"first", "second"} {
			wg.Go(func() {
				if r, err := f.Node("c2").PushMessage(ctx, "connector", "r", nil, name, node.PushOptions{}); err != nil || !r.OK() {
					t.Errorf("%s: %v %+v", name, err, r)
				}
			})
		}
		wg.Wait()
	})
}

func TestPush_HandsTheHandlerWhatWasPushed(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		type delivery struct {
			Route, Channel, From, Msg string
			UIDs                      []string
			Len                       int
			Alice, Zoe, Everybody     bool
		}
		got := make(chan delivery, 1)
		var f1 *node.Node
		cfgs := three()
		cfgs[0].OnPush = func(_ context.Context, d *node.Delivery) ([]string, error) {
			f1 = d.Node
			got <- delivery{
				d.Route, d.Channel, d.From, string(d.Msg), slices.Sorted(d.UIDs()), d.Len(),
				d.Includes("alice"), d.Includes("zoe"), d.Everybody,
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		for _, from := range []string{"c1", "c2"} { // to itself, and over the wire
			n := f.Node(from)
			must(t, n.Add(ctx, "world", "alice", "c1"))
			must(t, n.Add(ctx, "world", "bob", "c1"))
			must(t, n.Add(ctx, "world", "zoe", "c3"))
			_, err := n.PushMessage(ctx, "connector", "chat.say", []byte("hi"), "world", node.PushOptions{})
			must(t, err)
			want := delivery{"chat.say", "world", from, "hi", []string{"alice", "bob"}, 2, true, false, false}
			if diff := cmp.Diff(want, <-got); diff != "" {
				t.Error(diff)
			}
			if f1 != f.Node("c1") {
				t.Error("Delivery.Node is not the frontend's node")
			}
		}
	})
}

func TestPush_FromInsideAHandlerOfTheSameChannelIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		inner := make(chan error, 2)
		cfgs := three()
		cfgs[0].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
			if d.Channel == "world" {
				for _, name := range []string{"world", "other"} {
					_, err := d.Node.PushMessage(ctx, "connector", "r", nil, name, node.PushOptions{})
					inner <- err
				}
				if err := d.Node.Leave(ctx, "world", "alice", "c1"); err != nil { // any other call works
					return nil, err
				}
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		for _, from := range []string{"c1", "c2"} {
			n := f.Node(from)
			must(t, n.Add(ctx, "world", "alice", "c1"))
			must(t, n.Add(ctx, "other", "alice", "c1"))
			r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{})
			if err != nil || !r.OK() {
				t.Errorf("%v %+v", err, r)
			}
			wantError(t, <-inner, node.ErrReentrant, node.ErrNotSent)
			must(t, <-inner)
		}
	})
}
