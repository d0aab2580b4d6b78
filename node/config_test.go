package node_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pofresh/globalchannel/node"
)

func TestStart_RefusesAConfigThatCannotWork(t *testing.T) {
	ok := func(change func(*node.Config)) node.Config {
		c := server("c1", "connector")
		change(&c)
		return c
	}
	for _, c := range []struct {
		what, field string
		cfg         node.Config
	}{
		{"no sid", "SID", node.Config{SType: "connector"}},
		{"no stype", "SType", node.Config{SID: "c1"}},
		{"long sid", "SID", node.Config{SID: strings.Repeat("x", 65), SType: "connector"}},
		{"zone with NUL", "Zone", ok(func(c *node.Config) { c.Zone = "\x00" })},
		{"listen without port", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1" })},
		{"wildcard listen", "Advertise", ok(func(c *node.Config) { c.Listen, c.Secret = ":7400", make([]byte, 16) })},
		{"unspecified listen", "Advertise", ok(func(c *node.Config) { c.Listen, c.Secret = "0.0.0.0:7400", make([]byte, 16) })},
		{"advertised port 0", "Advertise", ok(func(c *node.Config) { c.Advertise = "127.0.0.1:0" })},
		{"advertised wildcard", "Advertise", ok(func(c *node.Config) { c.Advertise = "[::]:7400" })},
		{"plain off loopback", "Secret", ok(func(c *node.Config) { c.Listen = "192.0.2.1:7400" })},
		{"join without port", "Join", ok(func(c *node.Config) { c.Join = []string{"10.0.0.1"} })},
		{"join port 0", "Join", ok(func(c *node.Config) { c.Join = []string{"10.0.0.1:0"} })},
		{"negative expect", "Expect", ok(func(c *node.Config) { c.Expect = -1 })},
		{"expect above voters", "Expect", ok(func(c *node.Config) { c.Expect, c.Join = 6, []string{"10.0.0.1:1"} })},
		{"founders who cannot meet", "Join", ok(func(c *node.Config) { c.Expect = 3 })},
		{"founder without a vote", "NonVoter", ok(func(c *node.Config) { c.Expect, c.NonVoter, c.Join = 3, true, []string{"10.0.0.1:1"} })},
		{"short secret", "Secret", ok(func(c *node.Config) { c.Secret = make([]byte, 15) })},
		{"negative timeout", "Timeout", ok(func(c *node.Config) { c.Timeout = -1 })},
		{"too many voters", "Cluster.MaxVoters", ok(func(c *node.Config) { c.Cluster.MaxVoters = 10 })},
		{"negative reap", "Cluster", ok(func(c *node.Config) { c.Cluster.ReapAfter = -1 })},
		{"forgotten before reaped", "Cluster.ForgetAfter", ok(func(c *node.Config) { c.Cluster.ReapAfter = time.Hour })},
		{"removed before reaped", "Cluster.RemoveAfter", ok(func(c *node.Config) { c.Cluster.RemoveAfter = time.Second })},
		{"message limit", "Cluster.Limits.MessageBytes", ok(func(c *node.Config) { c.Cluster.Limits.MessageBytes = 5 << 20 })},
	} {
		n, err := node.Start(within(t), c.cfg)
		if n != nil || !errors.Is(err, node.ErrInvalidArgument) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v; want ErrInvalidArgument that names %s", c.what, err, c.field)
		}
	}
}

func TestStart_SaysThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	cfg := server("c1", "connector")
	cfg.Listen = l.Addr().String()
	if n, err := node.Start(within(t), cfg); n != nil || err == nil || !strings.Contains(err.Error(), cfg.Listen) {
		t.Errorf("%v", err)
	}
}

func TestStart_WithAnEndedContextDoesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if n, err := node.Start(ctx, server("c1", "connector")); n != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestStart_CopiesItsConfigAndNeverWritesToIt(t *testing.T) {
	ctx := within(t)
	made := func() node.Config {
		return node.Config{SID: "c1", SType: "connector", Secret: []byte("0123456789abcdef"), Join: []string{"127.0.0.1:1"}, Expect: 1}
	}
	cfg := made()
	n, err := node.Start(ctx, cfg)
	must(t, err)
	defer func() { must(t, n.Close()) }()
	cfg.Join[0], cfg.Secret[0] = "not an address", 'X'
	must(t, n.Ready(ctx))
	must(t, n.Add(ctx, "world", "alice", "c1"))
	cfg.Join[0], cfg.Secret[0] = "127.0.0.1:1", '0'
	if diff := cmp.Diff(made(), cfg, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestStart_OnlyJoinsWithoutExpect(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		id := f.Node("c1").Status().ClusterID
		n := f.Start(server("late", "chat"))
		must(t, n.Ready(ctx))
		if got := n.Status().ClusterID; got != id {
			t.Errorf("cluster %q, want %q", got, id)
		}
	})
}
