package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestPush_ADeadPusherDoesNotHoldUpItsChannel(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got receiving
		f := readyCluster(t, ctx, six(&got)...)
		n := f.Node("c5")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		f.WaitEqual(ctx)
		cutFromVoters(f, "c4")
		must(t, n.Add(ctx, "world", "dave", "c4"))
		go func() {
			_, _ = n.PushMessage(ctx, "connector", "r", []byte("from the dead"), "world", node.PushOptions{Timeout: 4 * time.Minute})
		}()
		pause(ctx, 50*time.Millisecond)
		f.Kill("c5") // before c4 is seen to be behind
		pause(ctx, time.Second)
		f.Heal()
		f.Eventually(ctx, func() error {
			r, err := f.Node("c6").PushMessage(ctx, "connector", "r", []byte("alive"), "world", node.PushOptions{Timeout: time.Second})
			if err != nil || !r.OK() {
				return fmt.Errorf("%v %+v", err, r)
			}
			return nil
		})
		if list := got.receipts(); list[len(list)-1].msg != "alive" {
			t.Errorf("%v", list)
		}
	})
}

func TestPush_ThoseOfNoChannelWaitForTheirOwnPusherOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		blocked := make(chan struct{})
		cfgs := six(new(receiving))
		cfgs[3].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
			if d.From == "c5" {
				<-blocked
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c5").Add(ctx, "world", "alice", "c4"))
		f.WaitEqual(ctx)
		for range 300 {
			_, err := f.Node("c5").Push(ctx, node.Push{SType: "connector", Route: "r", To: node.UIDs("alice"), PushOptions: node.PushOptions{NoWait: true, Timeout: time.Minute}})
			must(t, err)
		}
		settle(ctx)
		for what, to := range map[string]node.Audience{"private": node.UIDs("alice"), "everybody": node.Everybody().And(node.UIDs("alice"))} {
			r, err := f.Node("c6").Push(ctx, node.Push{SType: "connector", Route: "r", To: to, PushOptions: node.PushOptions{Timeout: time.Second}})
			for _, s := range r.Servers {
				if s.SID == "c4" && s.Outcome != node.Delivered {
					t.Errorf("%s: %v %+v", what, err, s)
				}
			}
		}
		close(blocked)
	})
}

func TestPush_WithAnIDIsNotHandedOverAgainWhenItsFrontendAttachesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "remote-1"))
		f.WaitEqual(ctx)
		done := make(chan node.PushResult, 1)
		push := func() {
			r, _ := n.PushMessage(ctx, "connector", "r", []byte("pay"), "world", node.PushOptions{ID: "id-1", Timeout: 5 * time.Second})
			done <- r
		}
		go push()
		a.push()
		a.end() // after it was handed over
		if r := <-done; r.Servers[0].Outcome != node.Unknown {
			t.Errorf("%+v", r)
		}
		b, err := attach(t, ctx, f, "c4", &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: a.life.GetIncarnation()})
		must(t, err)
		if b.life.GetEpoch() != a.life.GetEpoch() {
			t.Fatal("another life")
		}
		push()
		if r := <-done; r.Servers[0].Outcome != node.Unknown { // as the first time, and nobody was asked
			t.Errorf("%+v", r)
		}
	})
}

func TestPush_WhatIsSaidOfEverybodyHarmsNoOtherPush(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := six(new(receiving))
		cfgs[3].OnPush = func(_ context.Context, d *node.Delivery) ([]string, error) {
			if d.Everybody {
				return []string{"\xff", "zoe", ""}, nil
			}
			return nil, nil
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c5")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		f.WaitEqual(ctx)
		r, err := n.Push(ctx, node.Push{SType: "connector", Route: "r", To: node.Everybody()})
		if err != nil || fmt.Sprint(r.Failed) != "[zoe]" {
			t.Errorf("%v %+v", err, r)
		}
		if r, err := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{}); err != nil || !r.OK() {
			t.Errorf("%v %+v", err, r)
		}
		many := make([]string, 300)
		for i := range many {
			many[i] = fmt.Sprint("player-", i)
		}
		_, err = n.Push(ctx, node.Push{SType: "connector", Route: "r", To: node.Everybody().Except(node.UIDs(many...))})
		wantError(t, err, node.ErrInvalidArgument)
	})
}

func TestPush_AServerThatDoesNotReadDelaysNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got, other receiving
		cfgs := six(&got)
		cfgs[1].OnPush = other.handle
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c5")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		must(t, n.Add(ctx, "world", "bob", "c2"))
		f.WaitEqual(ctx)
		push := func() node.PushResult {
			r, err := n.PushMessage(ctx, "connector", "r", make([]byte, 1<<20), "world", node.PushOptions{Timeout: time.Second})
			must(t, err)
			return r
		}
		if r := push(); !r.OK() {
			t.Fatalf("%+v", r)
		}
		f.Cut("c5", "c2") // the first of them: the connection stands still, and fills up
		for range 20 {
			r := push()
			if s := r.Servers[0]; s.SID != "c2" || s.Outcome == node.Delivered {
				t.Errorf("the one that does not read: %+v", s)
			}
			if s := r.Servers[1]; s.SID != "c4" || s.Outcome != node.Delivered || s.Latency > 50*time.Millisecond {
				t.Errorf("the other server: %+v", s)
			}
		}
	})
}
