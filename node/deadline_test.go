package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// grace is what PROMISES P2 allows beyond a deadline.
const grace = 100 * time.Millisecond

// timed runs a call and checks that it returned by the deadline plus grace.
func timed(t *testing.T, ctx context.Context, d time.Duration, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); took > d+grace {
		t.Errorf("took %v with %v to go", took, d)
	}
	return err
}

func TestNode_WithoutAQuorumEveryWriteEndsByItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := f.Leader(ctx)
		var others []string
		for _, o := range f.Nodes() {
			if o != n {
				others = append(others, o.Self().SID)
			}
		}
		sid := n.Self().SID
		must(t, n.Add(ctx, "world", "alice", sid))
		settle(ctx)
		f.Kill(others...)

		// It still leads: the entry is in its log, and nobody knows what becomes of it.
		err := timed(t, ctx, 50*time.Millisecond, func(ctx context.Context) error { return n.Add(ctx, "world", "bob", sid) })
		wantError(t, err, node.ErrOutcomeUnknown, context.DeadlineExceeded)

		f.Eventually(ctx, func() error {
			if n.Status().LeaderNodeID != "" {
				return errors.New("a leader is known")
			}
			return nil
		})
		err = timed(t, ctx, 50*time.Millisecond, func(ctx context.Context) error { return n.Leave(ctx, "world", "alice", sid) })
		wantError(t, err, node.ErrNotSent, node.ErrNoLeader, context.DeadlineExceeded)

		// Reads go on.
		if got := members(t, ctx, n, "world", node.Stale()); len(got) != 1 {
			t.Errorf("stale read: %v", got)
		}
		if got := members(t, ctx, n, "world"); len(got) != 1 {
			t.Errorf("read: %v", got)
		}

		// With a quorum the add of unknown outcome takes effect, the leave does not.
		for _, o := range others {
			f.Restart(o)
		}
		everywhere(t, ctx, f, "world", "alice@"+sid, "bob@"+sid)
	})
}

func TestNode_CallWithoutADeadlineHasConfigTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := three()
		for i := range cfgs {
			cfgs[i].Timeout = 3 * time.Second
		}
		f := readyCluster(t, ctx, cfgs...)
		n := follower(t, ctx, f)
		f.Isolate(n.Self().SID)
		start := time.Now()
		err := n.Add(context.WithoutCancel(ctx), "world", "alice", n.Self().SID)
		wantError(t, err, context.DeadlineExceeded)
		if took := time.Since(start); took < 3*time.Second || took > 3*time.Second+grace {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

func TestNode_CallsBeforeReadyWaitWithinTheirContexts(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfg := server("c1", "connector")
		cfg.Expect, cfg.Join = 2, []string{"10.0.0.1:7400", "10.0.0.2:7400"}
		other := server("c2", "connector")
		other.Expect, other.Join = cfg.Expect, cfg.Join
		f := nodetest.Cluster(t, cfg)
		n := f.Node("c1")
		err := timed(t, ctx, time.Second, func(ctx context.Context) error { return n.Add(ctx, "world", "alice", "c1") })
		wantError(t, err, node.ErrNotSent, node.ErrNoLeader, context.DeadlineExceeded)
		if err := timed(t, ctx, time.Second, n.Ready); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ready: %v", err)
		}
		if n.Status().Problem == "" || n.Status().Ready {
			t.Errorf("status while waiting: %+v", n.Status())
		}
		done := make(chan error, 1)
		go func() { done <- n.Add(ctx, "world", "alice", "c1") }()
		f.Start(other)
		must(t, <-done)
		everywhere(t, ctx, f, "world", "alice@c1")
	})
}

func TestNode_CallsAfterCloseAreErrClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		n := f.Node("c1")
		must(t, n.Close())
		must(t, n.Close())
		if n.Err() != nil {
			t.Errorf("err after close: %v", n.Err())
		}
		select {
		case <-n.Done():
		default:
			t.Error("not done after close")
		}
		for name, call := range everyCall(ctx, n) {
			if err := call(); !errors.Is(err, node.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			} else {
				class(t, err)
			}
		}
	})
}

func TestNode_CallsWithAnEndedContextDoNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		n := f.Node("c1")
		settle(ctx)
		index := n.Index()
		over, cancel := context.WithCancel(ctx)
		cancel()
		for name, call := range everyCall(over, n) {
			err := call()
			if !errors.Is(err, context.Canceled) || !errors.Is(err, node.ErrNotSent) {
				t.Errorf("%s: %v", name, err)
				continue
			}
			class(t, err)
		}
		if n.Index() != index {
			t.Errorf("index went from %d to %d", index, n.Index())
		}
	})
}

// everyCall is each call of the API that takes a context, but for Ready.
func everyCall(ctx context.Context, n *node.Node) map[string]func() error {
	return map[string]func() error{
		"Add":                  func() error { return n.Add(ctx, "world", "alice", "c1") },
		"Leave":                func() error { return n.Leave(ctx, "world", "alice", "c1") },
		"DestroyChannel":       func() error { return n.DestroyChannel(ctx, "world") },
		"DestroyAllChannels":   func() error { return n.DestroyAllChannels(ctx) },
		"MembersBySID":         func() error { _, err := n.MembersBySID(ctx, "world", "c1"); return err },
		"MembersByChannelName": func() error { _, err := n.MembersByChannelName(ctx, "connector", "world"); return err },
		"Members":              func() error { _, err := n.Members(ctx, "world"); return err },
		"PushMessage": func() error {
			_, err := n.PushMessage(ctx, "connector", "chat", nil, "world", node.PushOptions{})
			return err
		},
	}
}
