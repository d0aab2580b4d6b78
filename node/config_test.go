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
	"github.com/pofresh/globalchannel/node/internal/mapstore"
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
		{"sessions to ask for beside a manager that cannot be asked", "Online", ok(func(c *node.Config) {
			c.ChannelManager, c.Online = new(mapstore.Store), func(string) bool { return true }
		})},
		{"zone with NUL", "Zone", ok(func(c *node.Config) { c.Zone = "\x00" })},
		{"listen without port", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1" })},
		{"wildcard listen", "Advertise", ok(func(c *node.Config) { c.Listen, c.Secret = ":7400", make([]byte, 16) })},
		{"unspecified listen", "Advertise", ok(func(c *node.Config) { c.Listen, c.Secret = "0.0.0.0:7400", make([]byte, 16) })},
		{"advertised port 0", "Advertise", ok(func(c *node.Config) { c.Advertise = "127.0.0.1:0" })},
		{"advertised wildcard", "Advertise", ok(func(c *node.Config) { c.Advertise = "[::]:7400" })},
		{"plain off loopback", "Secret", ok(func(c *node.Config) { c.Listen = "192.0.2.1:7400" })},
		{"join without port", "Join", ok(func(c *node.Config) { c.Join = []string{"10.0.0.1"} })},
		{"join port 0", "Join", ok(func(c *node.Config) { c.Join = []string{"10.0.0.1:0"} })},
		{"listen port above all", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1:99999" })},
		{"listen on any host at such a port", "Listen", ok(func(c *node.Config) { c.Listen = ":99999" })},
		{"listen at a service", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1:http" })},
		{"listen at a negative port", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1:-1" })},
		{"listen at no port", "Listen", ok(func(c *node.Config) { c.Listen = "127.0.0.1:" })},
		{"listen host with a space", "Listen", ok(func(c *node.Config) { c.Listen = "local host:1" })},
		{"long listen host", "Listen", ok(func(c *node.Config) { c.Listen, c.Insecure = strings.Repeat("h", 254)+":1", true })},
		{"advertised service", "Advertise", ok(func(c *node.Config) { c.Advertise = "host:abc" })},
		{"advertised port above all", "Advertise", ok(func(c *node.Config) { c.Advertise = "host:65536" })},
		{"advertised multicast", "Advertise", ok(func(c *node.Config) { c.Advertise = "224.0.0.1:7400" })},
		{"advertised broadcast", "Advertise", ok(func(c *node.Config) { c.Advertise = "255.255.255.255:7400" })},
		{"advertised host with NUL", "Advertise", ok(func(c *node.Config) { c.Advertise = "h\x00st:7400" })},
		{"advertised host with a space", "Advertise", ok(func(c *node.Config) { c.Advertise = "a b:7400" })},
		{"advertised host not UTF-8", "Advertise", ok(func(c *node.Config) { c.Advertise = "h\xffst:7400" })},
		{"long advertised host", "Advertise", ok(func(c *node.Config) { c.Advertise = strings.Repeat("h", 254) + ":7400" })},
		{"advertised name too long for gossip", "Advertise", ok(func(c *node.Config) { c.Advertise = advertisable("c1") + "0" })},
		{"the same beside a long sid", "Advertise", ok(func(c *node.Config) { c.Advertise, c.SID = advertisable("c1"), strings.Repeat("s", 64) })},
		{"empty join", "Join", ok(func(c *node.Config) { c.Join = []string{""} })},
		{"join without host", "Join", ok(func(c *node.Config) { c.Join = []string{":7400"} })},
		{"join a wildcard", "Join", ok(func(c *node.Config) { c.Join = []string{"0.0.0.0:7400"} })},
		{"join port above all", "Join", ok(func(c *node.Config) { c.Join = []string{"h:99999"} })},
		{"join bare IPv6", "Join", ok(func(c *node.Config) { c.Join = []string{"::1:7400"} })},
		{"long join host", "Join", ok(func(c *node.Config) { c.Join = []string{strings.Repeat("h", 254) + ":1"} })},
		{"join a service without name", "Join", ok(func(c *node.Config) { c.Join = []string{"srv:"} })},
		{"join a service with a port", "Join", ok(func(c *node.Config) { c.Join = []string{"srv:a.example:7400"} })},
		{"join a service with a space", "Join", ok(func(c *node.Config) { c.Join = []string{"srv:a b"} })},
		{"join a file without path", "Join", ok(func(c *node.Config) { c.Join = []string{"file:"} })},
		{"join a file with NUL", "Join", ok(func(c *node.Config) { c.Join = []string{"file:\x00"} })},
		{"negative expect", "Expect", ok(func(c *node.Config) { c.Expect = -1 })},
		{"expect above voters", "Expect", ok(func(c *node.Config) { c.Expect, c.Join = 6, []string{"10.0.0.1:1"} })},
		{"founders who cannot meet", "Join", ok(func(c *node.Config) { c.Expect = 3 })},
		{"founder without a vote", "NonVoter", ok(func(c *node.Config) { c.Expect, c.NonVoter, c.Join = 3, true, []string{"10.0.0.1:1"} })},
		{"short secret", "Secret", ok(func(c *node.Config) { c.Secret = make([]byte, 15) })},
		{"unknown log store", "LogStore", ok(func(c *node.Config) { c.LogStore = node.WAL + 1 })},
		{"negative timeout", "Timeout", ok(func(c *node.Config) { c.Timeout = -1 })},
		{"too many voters", "Cluster.MaxVoters", ok(func(c *node.Config) { c.Cluster.MaxVoters = 10 })},
		{"negative reap", "Cluster", ok(func(c *node.Config) { c.Cluster.ReapAfter = -1 })},
		{"forgotten before reaped", "Cluster.ForgetAfter", ok(func(c *node.Config) { c.Cluster.ReapAfter = time.Hour })},
		{"removed before reaped", "Cluster.RemoveAfter", ok(func(c *node.Config) { c.Cluster.RemoveAfter = time.Second })},
		{"negative limit", "Cluster.Limits.Members", ok(func(c *node.Config) { c.Cluster.Limits.Members = -1 })},
		{"founders beyond the limit", "Cluster.Limits.Servers", ok(func(c *node.Config) {
			c.Expect, c.Join, c.Cluster.Limits.Servers = 3, []string{"127.0.0.1:7400"}, 2
		})},
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

// advertisable is the longest name that a server called sid may advertise.
func advertisable(sid string) string { return strings.Repeat("h", 150-len(sid)-len(":7")) + ":7" }

// Too long a name fails only once the cluster's id is there to go with it: at the
// second start.
func TestStart_TheLongestAdvertisedNameFitsBesideAClusterID(t *testing.T) {
	t.Parallel()
	for _, sid := range []string{"c1", strings.Repeat("s", 64)} {
		ctx := within(t)
		cfg := server(sid, "connector")
		cfg.Advertise, cfg.DataDir = advertisable(sid), t.TempDir()
		for range 2 {
			n, err := node.Start(ctx, cfg)
			must(t, err)
			must(t, n.Ready(ctx))
			must(t, n.Close())
		}
	}
}
