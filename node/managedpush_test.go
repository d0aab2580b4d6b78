package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

func TestChannelManager_PushGoesToThoseWhomItNames(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		var c audible
		cfgs := managedServers(s)
		c.got = make(map[string][]string)
		for i := range 2 {
			cfgs[i].OnPush = c.handler(cfgs[i].SID)
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("b1")
		for _, m := range [][2]string{{"alice", "c1"}, {"bob", "c1"}, {"alice", "c2"}, {"dave", "b1"}} {
			must(t, n.Add(ctx, "guild", m[0], m[1]))
		}
		for _, from := range []string{"b1", "c1"} {
			r, err := f.Node(from).PushMessage(ctx, "connector", "r", []byte("hi"), "guild", node.PushOptions{})
			must(t, err)
			if !r.OK() || r.Members != 3 || r.Servers[0].Latency > 50*time.Millisecond { // nobody waits for a replica
				t.Errorf("%+v", r)
			}
			if diff := cmp.Diff(map[string][]string{"c1": {"alice", "bob"}, "c2": {"alice"}}, c.take()); diff != "" {
				t.Error(from, diff)
			}
		}
		if r, err := n.PushMessage(ctx, "connector", "r", nil, "nowhere", node.PushOptions{}); err != nil || r.Members != 0 || len(r.Servers) != 0 {
			t.Errorf("%v %+v", err, r)
		}

		// A store that fails for one server costs the other one nothing.
		s.before(func(_ context.Context, _, _, sid string) error {
			if sid == "c2" {
				return errors.New("shard is down")
			}
			return nil
		})
		r, err := n.PushMessage(ctx, "connector", "r", []byte("hi"), "guild", node.PushOptions{})
		must(t, err)
		missed := slices.IndexFunc(r.Servers, func(s node.ServerReport) bool { return s.SID == "c2" })
		if r.OK() || len(r.Servers) != 2 || r.Servers[missed].Outcome != node.NotDelivered || !strings.Contains(r.Servers[missed].Reason, "shard is down") {
			t.Errorf("%+v", r)
		}
		s.before(func(context.Context, string, string, string) error { return errors.New("down") })
		if _, err := n.PushMessage(ctx, "connector", "r", nil, "guild", node.PushOptions{}); !errors.Is(err, node.ErrPushFailed) {
			t.Error(err)
		}
	})
}
