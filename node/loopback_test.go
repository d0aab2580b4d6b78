package node_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/ports"
)

// onDisk runs a test over both ways to keep a log in files.
func onDisk(t *testing.T, test func(t *testing.T, store node.LogStore)) {
	t.Helper()
	for _, store := range []node.LogStore{node.BoltDB, node.WAL} {
		t.Run(store.String(), func(t *testing.T) { test(t, store) })
	}
}

// onLoopback are three founders with real sockets, files and TLS.
func onLoopback(t *testing.T) []node.Config {
	t.Helper()
	dir := t.TempDir()
	var cfgs []node.Config
	join, err := ports.Free(3)
	must(t, err)
	for i, addr := range join {
		sid := fmt.Sprint("c", i+1)
		cfgs = append(cfgs, node.Config{
			SID: sid, SType: "connector", Listen: addr, Expect: 3,
			DataDir: filepath.Join(dir, sid), Secret: []byte("a secret of the whole fleet"), Join: join,
		})
	}
	return cfgs
}

func start(t *testing.T, cfg node.Config) *node.Node {
	t.Helper()
	n, err := node.Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func TestLoopback_RealClusterSurvivesARestartOfAll(t *testing.T) {
	t.Parallel()
	onDisk(t, survivesARestartOfAll)
}

func survivesARestartOfAll(t *testing.T, store node.LogStore) {
	ctx := within(t)
	cfgs := onLoopback(t)
	for i := range cfgs {
		cfgs[i].LogStore = store
	}
	cfgs[2].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return nil, nil }
	var nodes []*node.Node
	ids := make(map[string]string)
	for _, cfg := range cfgs {
		nodes = append(nodes, start(t, cfg))
	}
	for _, n := range nodes {
		must(t, n.Ready(ctx))
		ids[n.Self().SID] = n.Self().NodeID
		must(t, n.Add(ctx, "world", "alice", n.Self().SID))
	}
	members(t, ctx, nodes[0], "world", node.AtLeast(nodes[2].Index()))
	if r, err := nodes[0].PushMessage(ctx, "connector", "r", []byte("hi"), "world", node.PushOptions{}); err != nil || r.Servers[2].Outcome != node.Delivered {
		t.Errorf("%v %+v", err, r)
	}
	conn, err := transport.DialClient(ctx, nodes[0].Self().Addr, cfgs[0].Secret, nil) // the role client is let in
	must(t, err)
	if _, err := pb.NewGlobalChannelClient(conn).Status(ctx, &pb.StatusRequest{}); err != nil {
		t.Errorf("client: %v", err)
	}
	must(t, conn.Close())
	if conn, err = transport.DialClient(ctx, nodes[0].Self().Addr, nil, nil); err == nil {
		t.Error("a client without the secret was let in")
		must(t, conn.Close())
	}

	for _, n := range nodes {
		must(t, n.Close())
	}
	for i, cfg := range cfgs {
		nodes[i] = start(t, cfg)
	}
	for _, n := range nodes {
		must(t, n.Ready(ctx))
		if got := n.Self(); ids[got.SID] != got.NodeID {
			t.Errorf("%s is node %s, was %s", got.SID, got.NodeID, ids[got.SID])
		}
		must(t, n.Add(ctx, "world", "bob", n.Self().SID))
	}
	if got := members(t, ctx, nodes[2], "world"); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestLoopback_WrongSecretNeverJoins(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	first := start(t, node.Config{SID: "c1", SType: "connector", Secret: []byte("a secret of the whole fleet")})
	must(t, first.Ready(ctx))
	for what, secret := range map[string][]byte{"another secret": []byte("a secret of another fleet"), "none": nil} {
		n := start(t, node.Config{SID: "c2", SType: "connector", Secret: secret, Join: []string{first.Self().Addr}})
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		if err := n.Ready(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
		cancel()
		if n.Status().Problem == "" {
			t.Errorf("%s: no problem in %+v", what, n.Status())
		}
		must(t, n.Close())
	}
	if got := len(first.Servers()); got != 1 {
		t.Errorf("%d servers, want 1", got)
	}
}

func TestLoopback_DirectoryInUseOrOfAnotherServerIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := node.Config{SID: "c1", SType: "connector", DataDir: dir, LogStore: node.WAL}
	n := start(t, cfg)
	must(t, n.Ready(within(t)))
	refused := func(cfg node.Config, want string) {
		t.Helper()
		second, err := node.Start(t.Context(), cfg)
		if err == nil {
			_ = second.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	refused(cfg, "in use")
	must(t, n.Close())
	cfg.LogStore = node.BoltDB
	refused(cfg, "--log-store wal")
	cfg.LogStore, cfg.SID = node.WAL, "c2"
	refused(cfg, `belongs to server "c1"`)
	cfg.SID, cfg.DataDir = "c1", filepath.Join(dir, "missing", "deep")
	refused(cfg, "parent does not exist")
}

func TestLoopback_DirectoryOfAnotherClusterIsRefused(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	cfg := node.Config{SID: "c1", SType: "connector", DataDir: filepath.Join(t.TempDir(), "data")}
	n := start(t, cfg)
	must(t, n.Ready(ctx))
	must(t, n.Close())
	other := start(t, server("d1", "connector"))
	must(t, other.Ready(ctx))
	cfg.Join = []string{other.Self().Addr} // moved here with the directory of its old cluster
	n = start(t, cfg)
	_ = n.Ready(ctx) // alone it is a whole cluster, and stays that
	if n.Status().ClusterID == other.Status().ClusterID || len(other.Servers()) != 1 {
		t.Errorf("two clusters merged: %+v, %+v", n.Status(), other.Servers())
	}
}
