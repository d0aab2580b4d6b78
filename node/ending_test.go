package node_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// What is asked of a node that is not ready yet, that closes, or that has ended.

func TestReads_WaitForReadyInsteadOfShowingAnEmptyReplica(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		must(t, f.Node("c1").Add(ctx, "w", "alice", "c1"))
		n := f.Start(server("c9", "connector"))
		list, err := n.MembersBySID(ctx, "w", "c1")
		if err != nil || len(list) != 1 {
			t.Errorf("a node that has just started sees %v, %v", list, err)
		}
		n = f.Start(server("c8", "connector"))
		if r, err := n.PushMessage(ctx, "connector", "r", nil, "w", node.PushOptions{}); r.Members != 1 {
			t.Errorf("a push from a node that has just started: %+v, %v", r, err)
		}
	})
}

func TestClose_DuringRegistrationLeavesNoLife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		f.SetLatency(100 * time.Millisecond)
		start := time.Now()
		must(t, f.Start(server("warm", "connector")).Ready(ctx))
		took := time.Since(start)
		for i := range 10 {
			sid := fmt.Sprint("x", i)
			n := f.Start(server(sid, "connector"))
			<-time.After(took - time.Duration(50+i*100)*time.Millisecond)
			must(t, n.Close())
			<-time.After(3 * time.Second)
			for _, s := range f.Leader(ctx).Servers() {
				if s.SID == sid {
					t.Errorf("closed %d ms before it would have been ready, and still registered", 50+i*100)
				}
			}
		}
		f.SetLatency(0)
	})
}

func TestClose_EndsTheLifeOfAHaltedNode(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		must(t, n.Add(ctx, "w", "alice", n.Self().SID))
		settle(ctx)
		n.Halt()
		wantError(t, fmt.Errorf("%w: %w", node.ErrNotSent, n.Err()), node.ErrHalted)
		must(t, n.Close())
		gone(t, ctx, f, n.Self().SID)
	})
}

func TestClose_AnswersReadsAndLookUpsThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		f.Isolate(n.Self().SID)
		<-time.After(3 * time.Second) // until it knows that it is alone
		answers := make(chan error, 3)
		go func() { _, err := n.Members(ctx, "w", node.AtLeast(1<<40)); answers <- err }()
		go func() { _, err := n.Members(ctx, "w", node.Linearizable()); answers <- err }()
		go func() { answers <- n.Add(ctx, "w", "u", "nobody") }()
		synctest.Wait()
		start := time.Now()
		must(t, n.Close())
		for range cap(answers) {
			if err := <-answers; !errors.Is(err, node.ErrClosed) || errors.Is(err, context.Canceled) {
				t.Errorf("answer %v; the callers' contexts have not ended", err)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("answered %v after Close began", took)
		}
		if err := n.Ready(ctx); !errors.Is(err, node.ErrClosed) {
			t.Errorf("ready after Close: %v", err)
		}
	})
}

// A caller whose context lives on must not find a write of unknown fate among those
// that it cancelled itself.
func TestClose_BlamesNoContextThatHasNotEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		sid := leader.Self().SID
		settle(ctx) // no other entry is on its way: the next one goes to the log at once
		f.Isolate(sid)
		answer := make(chan error, 1)
		go func() { answer <- leader.Add(ctx, "w", "alice", sid) }()
		synctest.Wait()
		_ = leader.Close() // its life could not be ended
		err := <-answer
		wantError(t, err, node.ErrOutcomeUnknown, node.ErrClosed)
		if errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// An isolated leader with a write in flight, a handler that blocks, and an attached
// frontend that does not read: everything that can hold up Close at once.
func TestClose_IsBoundedAndBlamesNoDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		block := make(chan struct{})
		cfgs := three()
		for i := range cfgs {
			cfgs[i].OnPush = func(context.Context, *node.Delivery) ([]string, error) { <-block; return nil, nil }
		}
		f := readyCluster(t, ctx, cfgs...)
		leader := f.Leader(ctx)
		sid := leader.Self().SID
		must(t, leader.Add(ctx, "w", "alice", sid))
		mustAttach(t, ctx, f, sid, "deaf")
		must(t, leader.Add(ctx, "loud", "bob", "deaf"))
		for range 2 {
			_, _ = leader.PushMessage(ctx, "connector", "r", make([]byte, 1<<20), "loud", node.PushOptions{Timeout: time.Second})
		}
		_, _ = leader.PushMessage(ctx, "connector", "r", nil, "w", node.PushOptions{Timeout: time.Second})
		f.Isolate(sid)
		unanswered := make(chan error, 1)
		go func() { unanswered <- leader.Add(ctx, "w", "carol", sid) }()
		synctest.Wait()
		start := time.Now()
		err := leader.Close()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("close took %v", took)
		}
		if err == nil || err.Error() != "a push handler does not return" {
			t.Errorf("close: %v", err)
		}
		wantError(t, <-unanswered, node.ErrOutcomeUnknown)
		close(block)
		f.Heal()
	})
}

func TestAttach_GoodbyeOfAFrontendThatDoesNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		a := mustAttach(t, ctx, f, "c1", "deaf")
		n := f.Node("c1")
		must(t, n.Add(ctx, "w", "alice", "deaf"))
		for range 3 {
			_, _ = n.PushMessage(ctx, "connector", "r", make([]byte, 1<<20), "w", node.PushOptions{Timeout: time.Second})
		}
		must(t, a.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}}))
		gone(t, ctx, f, "deaf")
	})
}

func TestPush_HandlerKeepsAMessageThatTheCallerUsesAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var kept []byte
		cfg := server("c1", "connector")
		cfg.OnPush = func(_ context.Context, d *node.Delivery) ([]string, error) { kept = d.Msg; return nil, nil }
		n := readyCluster(t, ctx, cfg).Node("c1")
		must(t, n.Add(ctx, "w", "alice", "c1"))
		msg := []byte("hello")
		_, err := n.PushMessage(ctx, "connector", "r", msg, "w", node.PushOptions{})
		must(t, err)
		copy(msg, "later")
		if string(kept) != "hello" {
			t.Errorf("the handler's message became %q", kept)
		}
	})
}

func TestErrors_CauseOfAContextAddsNoSecondClass(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		f.Isolate(n.Self().SID)
		// As errgroup does it: another call's error is the cause.
		ctx, cancel := context.WithCancelCause(ctx)
		done := make(chan error, 1)
		go func() { done <- n.Add(ctx, "w", "alice", n.Self().SID) }()
		synctest.Wait()
		cancel(fmt.Errorf("another add: %w", node.ErrServerGone))
		wantError(t, <-done, node.ErrOutcomeUnknown, context.Canceled)
	})
}

func TestService_KeepsTheClassOfAnErrorWithAStatusInside(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		c := client(t, ctx, f, n.Self().SID)
		f.Isolate(n.Self().SID)
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := c.Add(short, &pb.AddRequest{Name: "w", Uid: "u", Sid: "nobody"})
		wantError(t, node.FromStatus(err), node.ErrNotSent)
		f.Heal()
	})
}
