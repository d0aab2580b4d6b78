package node_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// badTexts breaks each rule that names share.
func badTexts(limit int) map[string]string {
	return map[string]string{
		"empty":     "",
		"too long":  strings.Repeat("x", limit+1),
		"not UTF-8": "a\xff",
		"with NUL":  "a\x00b",
	}
}

func TestNode_RefusesBadNamesBeforeAnythingIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		settle(ctx)
		index := n.Index()
		type call struct {
			field string
			limit int
			run   func(bad string) error
		}
		push := func(stype, route, name string) error {
			_, err := n.PushMessage(ctx, stype, route, nil, name, node.PushOptions{})
			return err
		}
		for _, c := range []call{
			{"name", 255, func(s string) error { return n.Add(ctx, s, "alice", "c1") }},
			{"uid", 255, func(s string) error { return n.Add(ctx, "world", s, "c1") }},
			{"sid", 64, func(s string) error { return n.Add(ctx, "world", "alice", s) }},
			{"name", 255, func(s string) error { return n.Leave(ctx, s, "alice", "c1") }},
			{"uid", 255, func(s string) error { return n.Leave(ctx, "world", s, "c1") }},
			{"sid", 64, func(s string) error { return n.Leave(ctx, "world", "alice", s) }},
			{"name", 255, func(s string) error { return n.DestroyChannel(ctx, s) }},
			{"name", 255, func(s string) error { _, err := n.MembersBySID(ctx, s, "c1"); return err }},
			{"sid", 64, func(s string) error { _, err := n.MembersBySID(ctx, "world", s); return err }},
			{"stype", 64, func(s string) error { _, err := n.MembersByChannelName(ctx, s, "world"); return err }},
			{"name", 255, func(s string) error { _, err := n.MembersByChannelName(ctx, "connector", s); return err }},
			{"name", 255, func(s string) error { _, err := n.Members(ctx, s); return err }},
			{"stype", 64, func(s string) error { return push(s, "r", "world") }},
			{"route", 255, func(s string) error { return push("connector", s, "world") }},
			{"name", 255, func(s string) error { return push("connector", "r", s) }},
		} {
			for what, bad := range badTexts(c.limit) {
				err := c.run(bad)
				wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
				if err != nil && !strings.Contains(err.Error(), c.field) {
					t.Errorf("%s %s: %q does not name the field", c.field, what, err)
				}
			}
		}
		if n.Index() != index {
			t.Errorf("index went from %d to %d", index, n.Index())
		}
	})
}

func TestNode_TakesNamesOfTheFullLength(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		long, longSID := strings.Repeat("ü", 127)+"x", strings.Repeat("s", 64)
		f := readyCluster(t, ctx, server(longSID, longSID))
		n := f.Node(longSID)
		must(t, n.Add(ctx, long, long, longSID))
		if got := members(t, ctx, n, long); len(got) != 1 || got[0] != long+"@"+longSID {
			t.Errorf("%v", got)
		}
	})
}

func TestNode_BoundsMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfg := server("c1", "connector")
		cfg.Cluster.Limits.MessageBytes = 1000
		got := make(chan []byte, 1)
		cfg.OnPush = func(_ context.Context, d *node.Delivery) ([]string, error) {
			got <- d.Msg
			return nil, nil
		}
		other := server("c2", "connector") // follows the cluster's settings
		other.Expect, cfg.Expect = 0, 1
		f := readyCluster(t, ctx, cfg, other)
		for _, n := range f.Nodes() {
			must(t, n.Add(ctx, "world", "alice", "c1"))
			_, err := n.PushMessage(ctx, "connector", "r", make([]byte, 1001), "world", node.PushOptions{})
			wantError(t, err, node.ErrInvalidArgument)
			for _, msg := range [][]byte{nil, bytes.Repeat([]byte("m"), 1000)} {
				_, err := n.PushMessage(ctx, "connector", "r", msg, "world", node.PushOptions{})
				must(t, err)
				if m := <-got; !bytes.Equal(m, msg) {
					t.Errorf("%d bytes came as %d", len(msg), len(m))
				}
			}
		}
	})
}

func TestPush_RefusesOptionsThatMakeNoSense(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		n := f.Node("c1")
		for _, o := range []node.PushOptions{
			{Timeout: -1}, {Priority: node.PrioritySystem + 1}, {OnFull: node.FullKeepLatest + 1}, {Key: "k"}, {OnFull: node.FullKeepLatest},
			{ID: strings.Repeat("i", 256)}, {ID: "\xff"}, {OnFull: node.FullKeepLatest, Key: "a\x00"},
		} {
			_, err := n.PushMessage(ctx, "connector", "r", nil, "world", o)
			wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
		}
	})
}

func TestNode_AddForASIDThatNeverRegisteredIsAnUnknownServer(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for _, n := range f.Nodes() {
			wantError(t, n.Add(ctx, "world", "c1", "alice"), node.ErrUnknownServer, node.ErrRejected) // swapped
			must(t, n.Leave(ctx, "world", "c1", "alice"))                                             // nobody there: no error
		}
		if n := f.Node("c1"); errors.Is(n.Add(ctx, "world", "alice", "c1"), node.ErrUnknownServer) {
			t.Error("a registered server is unknown")
		}
	})
}

func TestNode_AddForASIDThatJustRegisteredWorksFromAReplicaThatLags(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		leader := f.Leader(ctx).Self().SID
		f.Cut(leader, n.Self().SID) // does not learn of the new server
		c4 := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		must(t, c4.Ready(ctx))
		done := make(chan error, 1)
		go func() { done <- n.Add(ctx, "world", "alice", "c4") }()
		f.Heal()
		must(t, <-done)
		everywhere(t, ctx, f, "world", "alice@c4")
	})
}
