package node_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

func TestNode_AnswersEveryCallWhoeverLeads(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		for i := range cfgs {
			cfgs[i].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return []string{"bob"}, nil }
		}
		f := readyCluster(t, ctx, append(cfgs, server("chat-1", "chat"))...)
		for _, n := range f.Nodes() {
			t.Log("at", n.Self().SID)
			sixCalls(t, ctx, n)
		}
	})
}

// sixCalls is the seed's whole life of a channel, at one node.
func sixCalls(t *testing.T, ctx context.Context, n *node.Node) {
	for _, m := range []struct{ uid, sid string }{{"alice", "c1"}, {"alice", "c2"}, {"bob", "c2"}, {"carol", "chat-1"}} {
		must(t, n.Add(ctx, "world", m.uid, m.sid))
		must(t, n.Add(ctx, "world", m.uid, m.sid)) // there already
	}
	must(t, n.Add(ctx, "team", "alice", "c1"))
	before := n.Index()
	must(t, n.Leave(ctx, "world", "nobody", "c1")) // not there
	must(t, n.Leave(ctx, "nowhere", "alice", "c1"))
	if n.Index() <= before {
		t.Errorf("index stays %d", n.Index())
	}

	bySID := func(name, sid string) []string { return sorted(t)(n.MembersBySID(ctx, name, sid)) }
	byType := func(stype, name string) []string { return sorted(t)(n.MembersByChannelName(ctx, stype, name)) }
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"by sid c2", bySID("world", "c2"), []string{"alice", "bob"}},
		{"by sid c3", bySID("world", "c3"), nil},
		{"by unknown sid", bySID("world", "nobody"), nil},
		{"by unknown channel", bySID("nowhere", "c1"), nil},
		{"by type", byType("connector", "world"), []string{"alice", "bob"}},
		{"by another type", byType("chat", "world"), []string{"carol"}},
		{"by unknown type", byType("nothing", "world"), nil},
		{"members", members(t, ctx, n, "world"), []string{"alice@c1", "alice@c2", "bob@c2", "carol@chat-1"}},
		{"members of nothing", members(t, ctx, n, "nowhere"), []string{}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}

	r, err := n.PushMessage(ctx, "connector", "chat.say", nil, "world", node.PushOptions{})
	if err != nil || r.Members != 3 || !slices.Equal(r.Failed, []string{"bob"}) || len(r.Servers) != 2 {
		t.Errorf("push: %v %+v", err, r)
	}

	must(t, n.Leave(ctx, "world", "alice", "c2"))
	if got := bySID("world", "c2"); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("after leave: %v", got)
	}
	must(t, n.DestroyChannel(ctx, "world"))
	must(t, n.DestroyChannel(ctx, "world"))
	if got := members(t, ctx, n, "world"); len(got) != 0 {
		t.Errorf("after destroy: %v", got)
	}
	if got := members(t, ctx, n, "team"); len(got) != 1 {
		t.Errorf("another channel after destroy: %v", got)
	}
	must(t, n.DestroyAllChannels(ctx))
	if got := members(t, ctx, n, "team"); len(got) != 0 {
		t.Errorf("after destroy of all: %v", got)
	}
}

func sorted(t *testing.T) func([]string, error) []string {
	return func(uids []string, err error) []string {
		t.Helper()
		must(t, err)
		slices.Sort(uids)
		return uids
	}
}

func TestNode_TellsWhetherAWriteHadAnEffect(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		for i, step := range []struct {
			kind node.OpKind
			want bool
		}{{node.OpAdd, true}, {node.OpAdd, false}, {node.OpLeave, true}, {node.OpLeave, false}, {node.OpDestroy, false}, {node.OpAdd, true}, {node.OpDestroy, true}} {
			op := node.Op{Kind: step.kind, Name: "world"}
			if step.kind != node.OpDestroy {
				op.UID, op.SID = "alice", "c1"
			}
			if _, got, err := n.Write(ctx, op); err != nil || got != step.want {
				t.Errorf("step %d: changed %v, %v; want %v", i, got, err, step.want)
			}
		}
	})
}

func TestNode_ServersAndStatusAgreeEverywhere(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[1].Zone = "eu"
		f := readyCluster(t, ctx, cfgs...)
		leader := f.Leader(ctx)
		want := f.Node("c1").Servers()
		if len(want) != 4 || want[1].SID != "c2" || want[1].Zone != "eu" || want[1].SType != "connector" || want[3] != f.Node("c4").Self() {
			t.Errorf("servers: %+v", want)
		}
		clusterID := f.Node("c1").Status().ClusterID
		for _, n := range f.Nodes() {
			if diff := cmp.Diff(want, n.Servers()); diff != "" {
				t.Errorf("%s: %s", n.Self().SID, diff)
			}
			s := n.Status()
			self := n.Self()
			if s.SID != self.SID || s.SType != self.SType || s.NodeID != self.NodeID || s.Incarnation != self.Incarnation || s.Epoch != self.Epoch || s.Addr != self.Addr {
				t.Errorf("status %+v of %+v", s, self)
			}
			role := map[bool]string{true: "replica", false: "voter"}[self.SID == "c4"]
			if s.Role != role || s.Leader != leader.Self().SID || s.LeaderNodeID != leader.Self().NodeID || s.Term == 0 || s.Applied == 0 ||
				!s.Ready || s.Problem != "" || s.ClusterID != clusterID || s.ClusterID == "" {
				t.Errorf("%s: %+v", self.SID, s)
			}
		}
	})
}
