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

func add(name, uid, sid string) node.Op {
	return node.Op{Kind: node.OpAdd, Name: name, UID: uid, SID: sid}
}

func leave(name, uid, sid string) node.Op {
	return node.Op{Kind: node.OpLeave, Name: name, UID: uid, SID: sid}
}

func destroy(name string) node.Op { return node.Op{Kind: node.OpDestroy, Name: name} }

// wantRefused checks that err is about operation i, as it was given, and nothing else.
func wantRefused(t *testing.T, err error, i int, ops []node.Op, want ...error) {
	t.Helper()
	wantError(t, err, append(want, node.ErrAborted, node.ErrRejected)...)
	var refused *node.OpError
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no OpError", err)
	}
	if diff := cmp.Diff(ops[i], refused.Op); refused.I != i || diff != "" || refused.Err == nil {
		t.Errorf("operation %d (%v) was refused, want %d:\n%s", refused.I, refused.Err, i, diff)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("ops[%d]", i)) {
		t.Errorf("%q does not name position %d", err, i)
	}
}

func TestNode_ApplyIsOneEntryInTheOrderGiven(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for _, n := range f.Nodes() {
			must(t, n.DestroyAllChannels(ctx))
			must(t, n.Add(ctx, "old", "alice", "c1"))
			before := n.Index()
			got, err := n.Apply(ctx,
				add("world", "alice", "c1"), add("world", "alice", "c1"), add("world", "bob", "c2"), add("world", "carol", "c4"),
				leave("world", "bob", "c2"), leave("world", "nobody", "c3"), add("team", "bob", "c2"),
				destroy("old"), destroy("old"), add("old", "bob", "c2"))
			must(t, err)
			want := []bool{true, false, true, true, true, false, true, true, false, true}
			if !slices.Equal(got.Changed, want) || got.Index <= before || n.Index() < got.Index {
				t.Errorf("%s: %+v after index %d, now %d; want %v", n.Self().SID, got, before, n.Index(), want)
			}
			for name, want := range map[string][]string{"world": {"alice@c1", "carol@c4"}, "team": {"bob@c2"}, "old": {"bob@c2"}} {
				if got := members(t, ctx, n, name); !slices.Equal(got, want) {
					t.Errorf("%s: %s has %v, want %v", n.Self().SID, name, got, want)
				}
			}
		}
	})
}

func TestNode_RefusedGroupHasNoEffectAndNamesTheOperation(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		old := f.Node("c4").Self().Epoch
		f.Kill("c4")
		must(t, f.Restart("c4").Ready(ctx))
		past := add("world", "dave", "c4")
		past.Epoch = old
		for _, n := range f.Nodes() {
			must(t, n.Add(ctx, "team", "alice", "c1"))
			for _, c := range []struct {
				ops  []node.Op
				i    int
				want error
			}{
				{[]node.Op{add("world", "alice", "c1"), destroy("team"), add("world", "bob", "nobody"), past}, 2, node.ErrUnknownServer},
				{[]node.Op{past, add("world", "bob", "nobody")}, 0, node.ErrServerGone},
				{[]node.Op{add("world", "alice", "c1"), add("world", "bob", "c2"), past}, 2, node.ErrServerGone},
				{[]node.Op{past}, 0, node.ErrServerGone},
			} {
				got, err := n.Apply(ctx, c.ops...)
				wantRefused(t, err, c.i, c.ops, c.want)
				if got.Index != 0 || got.Changed != nil {
					t.Errorf("refused, and applied: %+v", got)
				}
			}
			if got := members(t, ctx, n, "world"); len(got) != 0 {
				t.Errorf("%s: world has %v", n.Self().SID, got)
			}
			if got := members(t, ctx, n, "team"); len(got) != 1 {
				t.Errorf("%s: team has %v", n.Self().SID, got)
			}
		}
	})
}

func TestNode_ChecksAGroupBeforeAnythingIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		cutOff(t, ctx, f, n) // what is sent takes time
		start := time.Now()
		with := func(op node.Op, change func(*node.Op)) node.Op { change(&op); return op }
		everyField := []struct {
			field string
			op    node.Op
			want  error
		}{
			{"kind", node.Op{Name: "world", UID: "alice", SID: "c1"}, node.ErrInvalidArgument},
			{"name", node.Op{Kind: node.OpLeaveAll, Name: "world", UID: "alice", SID: "c1"}, node.ErrInvalidArgument},
			{"uid", node.Op{Kind: node.OpLeaveAll, SID: "c1"}, node.ErrInvalidArgument},
			{"sid", node.Op{Kind: node.OpLeaveAll, UID: "alice"}, node.ErrInvalidArgument},
			{"to_sid", with(add("world", "alice", "c1"), func(o *node.Op) { o.ToSID = "c2" }), node.ErrInvalidArgument},
			{"uid", with(destroy("world"), func(o *node.Op) { o.UID = "alice" }), node.ErrInvalidArgument},
			{"sid", with(destroy("world"), func(o *node.Op) { o.SID = "c1" }), node.ErrInvalidArgument},
			{"session", with(destroy("world"), func(o *node.Op) { o.Session = 1 }), node.ErrInvalidArgument},
			{"epoch", with(destroy("world"), func(o *node.Op) { o.Epoch = 1 }), node.ErrInvalidArgument},
			{"Meta", with(add("world", "alice", "c1"), func(o *node.Op) { o.Meta = []byte("m") }), node.ErrUnsupported},
			{"Options", with(add("world", "alice", "c1"), func(o *node.Op) { o.Options = &node.ChannelOptions{} }), node.ErrUnsupported},
			{"kind", with(add("world", "alice", "c1"), func(o *node.Op) { o.Kind, o.ToSID = node.OpMove, "c2" }), node.ErrUnsupported},
			{"kind", node.Op{Kind: node.OpSetOptions, Name: "world"}, node.ErrUnsupported},
			{"kind", node.Op{Kind: 7}, node.ErrUnsupported}, // in the log it empties the cluster
			{"kind", node.Op{Kind: 99}, node.ErrUnsupported},
		}
		for _, bad := range badTexts(255) {
			for _, op := range []node.Op{add(bad, "alice", "c1"), leave(bad, "alice", "c1"), destroy(bad)} {
				everyField = append(everyField, struct {
					field string
					op    node.Op
					want  error
				}{"name", op, node.ErrInvalidArgument})
			}
		}
		for _, c := range everyField {
			ops := []node.Op{add("world", "alice", "c1"), c.op, add("", "", "")}
			_, err := n.Apply(ctx, ops...)
			wantRefused(t, err, 1, ops, c.want)
			if !strings.Contains(err.Error(), c.field) {
				t.Errorf("%q does not name %s", err, c.field)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestNode_BoundsAGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		uids := make([]string, 4097)
		for i := range uids {
			uids[i] = fmt.Sprint("u", i)
		}
		_, err := n.Apply(ctx, node.AddOps("world", "c1", uids...)...)
		wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
		// 538 bytes each: name and uid with 255, sid with 2, and what tells them apart, with a whole epoch.
		long := strings.Repeat("n", 255)
		big := func(n int) []node.Op {
			ops := make([]node.Op, n)
			for i := range ops {
				ops[i] = add(long, strings.Repeat("u", 249)+fmt.Sprintf("%06d", i), "c1")
			}
			return ops
		}
		_, err = n.Apply(ctx, big(457)...)
		wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
		if got := members(t, ctx, n, "world"); len(got) != 0 {
			t.Errorf("%d members", len(got))
		}
		_, err = n.Apply(ctx, big(456)...)
		must(t, err)
		got, err := n.Apply(ctx, node.AddOps("world", "c1", uids[:4096]...)...)
		must(t, err)
		if len(got.Changed) != 4096 || slices.Contains(got.Changed, false) {
			t.Errorf("%d of 4096 operations, all with an effect: %v", len(got.Changed), !slices.Contains(got.Changed, false))
		}
		if got, err = n.Apply(ctx, node.LeaveOps("world", "c1", uids[:4096]...)...); err != nil || slices.Contains(got.Changed, false) {
			t.Errorf("leaving: %v", err)
		}
		if got := members(t, ctx, n, "world"); len(got) != 0 {
			t.Errorf("%d members are left", len(got))
		}
	})
}

func TestNode_ApplyOfNothingIsTheIndex(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		must(t, n.Add(ctx, "world", "alice", "c1"))
		before := n.Index()
		got, err := n.Apply(ctx)
		if err != nil || got.Index < before || got.Index > n.Index() || got.Changed != nil {
			t.Errorf("%+v, %v; index was %d", got, err, before)
		}
	})
}

func TestNode_ApplyForASIDThatJustRegisteredWorksFromAReplicaThatLags(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		f.Cut(f.Leader(ctx).Self().SID, n.Self().SID)
		for _, sid := range []string{"c4", "c5"} {
			must(t, f.Start(node.Config{SID: sid, SType: "connector", NonVoter: true}).Ready(ctx))
		}
		done := make(chan error, 1)
		go func() {
			_, err := n.Apply(ctx, add("world", "alice", "c4"), add("world", "bob", "c5"), add("world", "carol", "c4"))
			done <- err
		}()
		f.Heal()
		must(t, <-done)
		everywhere(t, ctx, f, "world", "alice@c4", "bob@c5", "carol@c4")
	})
}

func TestNode_ApplyThatWasNotSentSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		f.Isolate(n.Self().SID)
		f.Eventually(ctx, func() error {
			if n.Status().LeaderNodeID != "" {
				return errors.New("a leader is known")
			}
			return nil
		})
		err := timed(t, ctx, 300*time.Millisecond, func(ctx context.Context) error {
			_, err := n.Apply(ctx, add("world", "alice", "c1"), add("world", "bob", "c1"))
			return err
		})
		wantError(t, err, node.ErrNotSent, node.ErrNoLeader, context.DeadlineExceeded)
		var refused *node.OpError
		if errors.As(err, &refused) || errors.Is(err, node.ErrAborted) {
			t.Errorf("no operation is at fault, but: %v", err)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err = n.Apply(over, add("world", "alice", "c1"))
		wantError(t, err, node.ErrNotSent, context.Canceled)
		must(t, n.Close())
		_, err = n.Apply(ctx, add("world", "alice", "c1"))
		wantError(t, err, node.ErrNotSent, node.ErrClosed)
	})
}

func TestNode_LeaveAllLeavesEveryChannelOfOneServer(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for _, n := range f.Nodes() {
			must(t, n.DestroyAllChannels(ctx))
			_, err := n.Apply(ctx, add("world", "alice", "c1"), add("team", "alice", "c1"), add("world", "alice", "c2"), add("world", "bob", "c1"))
			must(t, err)
			must(t, n.LeaveAll(ctx, "alice", "c1"))
			must(t, n.LeaveAll(ctx, "alice", "c1")) // not there any more
			must(t, n.LeaveAll(ctx, "alice", "c9")) // nobody ever was
			if got, want := members(t, ctx, n, "world"), []string{"alice@c2", "bob@c1"}; !slices.Equal(got, want) {
				t.Errorf("world has %v, want %v", got, want)
			}
			if got := members(t, ctx, n, "team"); len(got) != 0 {
				t.Errorf("team has %v", got)
			}
			// In a group, of connections up to a session.
			newer := add("team", "alice", "c1")
			newer.Session = 2
			all := node.Op{Kind: node.OpLeaveAll, UID: "alice", SID: "c1", Session: 1}
			got, err := n.Apply(ctx, add("world", "alice", "c1"), newer, all, all)
			if err != nil || !slices.Equal(got.Changed, []bool{true, true, true, false}) {
				t.Errorf("%+v, %v", got, err)
			}
			if got, want := members(t, ctx, n, "team"), []string{"alice@c1"}; !slices.Equal(got, want) {
				t.Errorf("team has %v, want %v", got, want)
			}
		}
		for what, bad := range badTexts(64) {
			if err := f.Node("c1").LeaveAll(ctx, "alice", bad); !strings.Contains(fmt.Sprint(err), "sid") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
