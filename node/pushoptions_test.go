package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

// gate is a frontend whose handler waits until it is opened.
type gate struct {
	receiving
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) handle(ctx context.Context, d *node.Delivery) ([]string, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.receiving.handle(ctx, d)
}

func (g *gate) messages() (list []string) {
	for _, r := range g.receipts() {
		list = append(list, r.msg)
	}
	return list
}

// gated is a cluster whose frontend c4 is a gate, with alice on it, in the channel world.
func gated(t *testing.T, ctx context.Context) (*gate, *node.Node, *node.Node) {
	g := newGate()
	cfgs := six(new(receiving))
	cfgs[3].OnPush = g.handle
	f := readyCluster(t, ctx, cfgs...)
	must(t, f.Node("c5").Add(ctx, "world", "alice", "c4"))
	f.WaitEqual(ctx)
	return g, f.Node("c5"), f.Node("c4")
}

func TestPush_WithoutWaitingGoesOnAfterTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		g, remote, local := gated(t, ctx)
		for _, n := range []*node.Node{remote, local} {
			call, cancel := context.WithCancel(ctx)
			r, err := n.PushMessage(call, "connector", "r", []byte(n.Self().SID), "world", node.PushOptions{NoWait: true, Timeout: time.Minute})
			cancel() // as its caller does
			must(t, err)
			if s := r.Servers[0]; s.Outcome != node.Unknown || s.Reason != "not waited for" || r.OK() || r.Members != 1 {
				t.Errorf("%+v", r)
			}
			settle(ctx)
		}
		if got := g.messages(); len(got) != 0 {
			t.Errorf("%q have come already", got)
		}
		close(g.open)
		settle(ctx)
		if diff := cmp.Diff([]string{"c5", "c4"}, g.messages()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPush_WithoutWaitingMayComeFromTheHandlerOfItsChannel(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		answers := make(chan error, 10)
		cfgs := four()
		cfgs[3].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
			if string(d.Msg) == "question" {
				_, err := d.Node.PushMessage(ctx, "connector", "r", []byte("answer"), "world", node.PushOptions{NoWait: true})
				answers <- err
			} else {
				answers <- nil
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c4"))
		_, err := f.Node("c1").PushMessage(ctx, "connector", "r", []byte("question"), "world", node.PushOptions{})
		must(t, err)
		for range 2 {
			must(t, <-answers)
		}
	})
}

func TestPush_WhatGivesWayAtAFullQueueIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		g, n, _ := gated(t, ctx)
		const room = 256 // of a channel's queue
		outcomes := make([]node.ServerReport, room+1)
		var wg sync.WaitGroup
		for i := range outcomes { // the handler has the first one
			wg.Go(func() {
				r, _ := n.PushMessage(ctx, "connector", "r", []byte(fmt.Sprint(i)), "world", node.PushOptions{Timeout: time.Minute})
				outcomes[i] = r.Servers[0]
			})
			synctest.Wait()
		}
		settle(ctx)
		for _, full := range []node.FullPolicy{node.FullWait, node.FullDropNewest} {
			r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{OnFull: full, Timeout: time.Second})
			if !errors.Is(err, node.ErrPushFailed) || !strings.Contains(r.Servers[0].Reason, "queue full") {
				t.Errorf("%v: %v %+v", full, err, r)
			}
		}
		for _, msg := range []string{"newer", "newest"} {
			_, err := n.PushMessage(ctx, "connector", "r", []byte(msg), "world", node.PushOptions{OnFull: node.FullDropOldest, NoWait: true, Timeout: time.Minute})
			must(t, err)
			settle(ctx)
		}
		close(g.open)
		wg.Wait()
		settle(ctx)
		for i, r := range outcomes {
			want := node.Delivered
			if i == 1 || i == 2 {
				want = node.NotDelivered
			}
			if r.Outcome != want || (want == node.NotDelivered) != strings.Contains(r.Reason, "dropped") {
				t.Errorf("push %d: %+v, want %v", i, r, want)
			}
		}
		got := g.messages()
		if len(got) != room+1 || got[room] != "newest" || got[room-1] != "newer" || got[1] != "3" {
			t.Errorf("%q", got)
		}
	})
}

func TestPush_KeepsOnlyTheLatestOfAKey(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		g, n, _ := gated(t, ctx)
		var wg sync.WaitGroup
		replaced := make(chan string, 10)
		for _, m := range []string{"first", "x1", "y1", "x2", "x3", "chat"} {
			o := node.PushOptions{Timeout: time.Minute}
			if m[0] == 'x' || m[0] == 'y' {
				o.OnFull, o.Key = node.FullKeepLatest, m[:1]
			}
			wg.Go(func() {
				if r, _ := n.PushMessage(ctx, "connector", "r", []byte(m), "world", o); !r.OK() {
					replaced <- m + ": " + r.Servers[0].Reason
				}
			})
			settle(ctx)
		}
		close(g.open)
		wg.Wait()
		close(replaced)
		for r := range replaced {
			if !strings.HasPrefix(r, "x1: replaced") && !strings.HasPrefix(r, "x2: replaced") {
				t.Error(r)
			}
		}
		if diff := cmp.Diff([]string{"first", "y1", "x3", "chat"}, g.messages()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPush_WithAnIDIsHandedOverOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		g, n, local := gated(t, ctx)
		push := func(n *node.Node, id string, d time.Duration) node.ServerReport {
			r, _ := n.PushMessage(ctx, "connector", "r", []byte(id), "world", node.PushOptions{ID: id, Timeout: d})
			return r.Servers[0]
		}
		if r := push(n, "a", time.Second); r.Outcome != node.Unknown {
			t.Errorf("%+v", r)
		}
		settle(ctx) // the handler's context has ended: it gave up, so nobody got it
		close(g.open)
		for range 2 { // and so it is handed over, but only once
			for _, n := range []*node.Node{n, local} {
				if r := push(n, "a", time.Second); r.Outcome != node.Delivered {
					t.Errorf("%+v", r)
				}
			}
		}
		if diff := cmp.Diff([]string{"a"}, g.messages()); diff != "" {
			t.Error(diff)
		}
		pause(ctx, 2*time.Minute)
		push(n, "a", time.Second)
		for i := range 1025 {
			push(n, fmt.Sprint(i), time.Second)
		}
		push(n, "a", time.Second)
		if got := g.messages(); len(got) != 1+1+1025+1 {
			t.Errorf("%d are handed over", len(got))
		}
	})
}

func TestPush_PrunesWhoIsOfflineAndWasNotAddedSince(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		back := true
		cfgs := six(new(receiving))
		cfgs[3].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
			if back { // bob logs in again while he is found offline
				if err := d.Node.Add(ctx, "world", "bob", "c4"); err != nil {
					return nil, err
				}
			}
			return []string{"alice", "bob"}, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c5")
		for _, name := range []string{"world", "guild"} {
			for _, uid := range []string{"alice", "bob", "carol"} {
				must(t, n.Add(ctx, name, uid, "c4"))
			}
		}
		must(t, n.Add(ctx, "world", "alice", "c1"))
		f.WaitEqual(ctx)
		push := func(prune bool) {
			r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{PruneOffline: prune})
			must(t, err)
			if diff := cmp.Diff([]string{"alice", "bob"}, r.Failed); diff != "" {
				t.Error(diff)
			}
		}
		push(false)
		settle(ctx)
		everywhere(t, ctx, f, "guild", "alice@c4", "bob@c4", "carol@c4")
		push(true)
		everywhere(t, ctx, f, "world", "alice@c1", "bob@c4", "carol@c4")
		everywhere(t, ctx, f, "guild", "bob@c4", "carol@c4")
		back = false
		if r, _ := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{PruneOffline: true}); len(r.Failed) != 1 {
			t.Errorf("%+v", r)
		}
		everywhere(t, ctx, f, "world", "alice@c1", "carol@c4")
	})
}
