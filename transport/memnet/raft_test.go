package memnet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// raftStream is the stream layer of one host.
type raftStream struct {
	net.Listener
	host *Host
}

func (s raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.host.DialContext(ctx, "tcp", string(address))
}

// commandLog is a state machine that remembers its commands.
type commandLog struct {
	mu       sync.Mutex
	commands []string
}

func (l *commandLog) Apply(entry *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = append(l.commands, string(entry.Data))
	return nil
}

func (l *commandLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.commands)
}

func (l *commandLog) Snapshot() (raft.FSMSnapshot, error) {
	return commandSnapshot(l.all()), nil
}

func (l *commandLog) Restore(r io.ReadCloser) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = nil
	for line := range bytes.Lines(all) {
		l.commands = append(l.commands, string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return nil
}

type commandSnapshot []string

func (s commandSnapshot) Persist(sink raft.SnapshotSink) error {
	for _, command := range s {
		if _, err := fmt.Fprintln(sink, command); err != nil {
			sink.Cancel()
			return err
		}
	}
	return sink.Close()
}

func (s commandSnapshot) Release() {}

type raftNode struct {
	*raft.Raft
	ip       string
	commands *commandLog
	wire     *raft.NetworkTransport
}

func startRaft(t *testing.T, n *Net, ips ...string) []*raftNode {
	t.Helper()
	var servers raft.Configuration
	for _, ip := range ips {
		servers.Servers = append(servers.Servers, raft.Server{ID: raft.ServerID(ip), Address: raft.ServerAddress(ip + ":7400")})
	}
	var nodes []*raftNode
	for _, ip := range ips {
		nodes = append(nodes, startRaftNode(t, n, ip, servers))
	}
	return nodes
}

func startRaftNode(t *testing.T, n *Net, ip string, servers raft.Configuration) *raftNode {
	t.Helper()
	l, err := n.Host(ip).Listen("tcp", ":7400")
	if err != nil {
		t.Fatal(err)
	}
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(ip)
	conf.Logger = hclog.NewNullLogger()
	conf.HeartbeatTimeout, conf.ElectionTimeout = 2*time.Second, 2*time.Second
	conf.CommitTimeout = time.Second
	node := &raftNode{ip: ip, commands: new(commandLog)}
	node.wire = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: raftStream{Listener: l, host: n.Host(ip)}, MaxPool: 3, Timeout: 5 * time.Second, Logger: conf.Logger,
	})
	store, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	if err := raft.BootstrapCluster(conf, store, store, snapshots, node.wire, servers); err != nil {
		t.Fatal(err)
	}
	if node.Raft, err = raft.NewRaft(conf, node.commands, store, store, snapshots, node.wire); err != nil {
		t.Fatal(err)
	}
	return node
}

// leaderOf waits up to a minute for a leader among these nodes.
func leaderOf(t *testing.T, nodes []*raftNode) *raftNode {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		for _, node := range nodes {
			if node.State() == raft.Leader {
				return node
			}
		}
		<-tick.C
	}
	t.Fatal("no leader in a minute")
	return nil
}

func without(nodes []*raftNode, not *raftNode) []*raftNode {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *raftNode) bool { return n == not })
}

// An hour in the life of three nodes: the leader is cut off for a third of it, another is elected meanwhile, and
// in the end all have the same commands.
func TestNet_CarriesRaftForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		nodes := startRaft(t, n, a, b, c)
		start := time.Now()
		var want []string
		apply := func(leader *raftNode) {
			t.Helper()
			command := fmt.Sprintf("%v by %s", time.Since(start), leader.ip)
			if err := leader.Apply([]byte(command), time.Second).Error(); err != nil {
				t.Fatalf("apply %q: %v", command, err)
			}
			want = append(want, command)
		}
		third := time.NewTicker(20 * time.Minute)
		defer third.Stop()

		first := leaderOf(t, nodes)
		apply(first)
		<-third.C
		if first.State() != raft.Leader {
			t.Error("the leader changed in a healthy network")
		}
		apply(first)

		others := without(nodes, first)
		for _, other := range others {
			n.Cut(first.ip, other.ip)
			n.Cut(other.ip, first.ip)
		}
		lost := first.Apply([]byte("never committed"), time.Second)
		second := leaderOf(t, others)
		apply(second)
		if err := lost.Error(); err == nil {
			t.Error("a leader that is cut off committed")
		}
		<-third.C
		if first.State() == raft.Leader || second.State() != raft.Leader {
			t.Errorf("states after the cut: %v, %v", first.State(), second.State())
		}
		apply(second)

		n.HealAll()
		<-third.C
		apply(leaderOf(t, nodes))
		if d := time.Since(start); d < time.Hour {
			t.Errorf("only %v have passed", d)
		}
		time.AfterFunc(time.Minute, func() { third.Reset(time.Minute) })
		<-third.C
		for _, node := range nodes {
			if diff := cmp.Diff(want, node.commands.all()); diff != "" {
				t.Errorf("commands of %s (-want +got):\n%s", node.ip, diff)
			}
		}
		for _, node := range nodes {
			if err := node.Shutdown().Error(); err != nil {
				t.Error(err)
			}
			node.wire.CloseStreams() // Close alone leaves the pooled connections open, and their far ends waiting
			node.wire.Close()
		}
		<-time.After(time.Second) // with latency, ends of streams need time too, and a bubble's stands still at its end
		closed(t, n)
	})
}
