package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

func TestReads_ShowThisNodesOwnWritesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(5 * time.Millisecond)
		defer f.SetLatency(0)
		n := f.Node("c4")
		for i := range 20 {
			uid := fmt.Sprint("player-", i)
			must(t, n.Add(ctx, "world", uid, "c1"))
			if got := sorted(t)(n.MembersBySID(ctx, "world", "c1")); !slices.Contains(got, uid) {
				t.Fatalf("%s is missing in %v", uid, got)
			}
			must(t, n.Leave(ctx, "world", uid, "c1"))
			if got := sorted(t)(n.MembersBySID(ctx, "world", "c1")); len(got) != 0 {
				t.Fatalf("%s is still in %v", uid, got)
			}
		}
	})
}

func TestReads_AtLeastCarriesAWriteToAnotherServer(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(5 * time.Millisecond)
		defer f.SetLatency(0)
		for i := range 10 {
			from, to := f.Nodes()[i%4], f.Nodes()[(i+1)%4]
			uid := fmt.Sprint("player-", i)
			must(t, from.Add(ctx, "world", uid, "c1"))
			if got := members(t, ctx, to, "world", node.AtLeast(from.Index())); !slices.Contains(got, uid+"@c1") {
				t.Errorf("%s at %s: %v", uid, to.Self().SID, got)
			}
		}
	})
}

func TestReads_OfAReplicaThatIsBehindSaySo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		f.WaitEqual(ctx)
		f.Isolate("c4")
		must(t, f.Node("c1").Add(ctx, "world", "bob", "c1"))
		err := timed(t, ctx, 200*time.Millisecond, func(ctx context.Context) error {
			_, err := n.Members(ctx, "world", node.AtLeast(f.Node("c1").Index()))
			return err
		})
		if !errors.Is(err, node.ErrReplicaBehind) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at least: %v", err)
		}
		for what, o := range map[string][]node.ReadOption{"stale": {node.Stale()}, "default": nil} {
			if got := members(t, ctx, n, "world", o...); !slices.Equal(got, []string{"alice@c1"}) {
				t.Errorf("%s: %v", what, got)
			}
		}
		f.Heal()
		if got := members(t, ctx, n, "world", node.AtLeast(f.Node("c1").Index())); len(got) != 2 {
			t.Errorf("healed: %v", got)
		}
	})
}

func TestReads_RefuseWrongOptions(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		n := f.Node("c1")
		all := []node.ReadOption{node.Stale(), node.AtLeast(1), node.Linearizable(), node.MaxStaleness(time.Second)}
		wrong := [][]node.ReadOption{all, {node.MaxStaleness(0)}, {node.MaxStaleness(-time.Second)}}
		for i, first := range all {
			for _, second := range all[i+1:] {
				wrong = append(wrong, []node.ReadOption{first, second}, []node.ReadOption{second, first})
			}
		}
		for _, o := range wrong {
			_, err := n.MembersBySID(ctx, "world", "c1", o...)
			wantError(t, err, node.ErrInvalidArgument)
			_, err = n.MembersByChannelName(ctx, "connector", "world", o...)
			wantError(t, err, node.ErrInvalidArgument)
			_, err = n.Members(ctx, "world", o...)
			wantError(t, err, node.ErrInvalidArgument)
		}
	})
}

func TestReads_BelongToTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		seq, err := n.Members(ctx, "world")
		must(t, err)
		for m := range seq { // the iterator holds no lock
			must(t, n.Leave(ctx, "world", m.UID, m.SID))
			must(t, n.Add(ctx, "world", "bob", m.SID))
		}
		list := sorted(t)(n.MembersBySID(ctx, "world", "c1"))
		list[0] = "overwritten"
		if got := members(t, ctx, n, "world"); !slices.Equal(got, []string{"bob@c1"}) {
			t.Errorf("%v", got)
		}
	})
}
