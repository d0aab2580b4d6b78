package node_test

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport/memnet"
)

// dialCounter counts writes to connections that were dialled: Raft's requests.
type dialCounter struct {
	node.Network
	writes atomic.Int64
}

func (d *dialCounter) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.Network.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedWrites{c, &d.writes}, nil
}

type countedWrites struct {
	net.Conn
	writes *atomic.Int64
}

func (c *countedWrites) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// An idle replica costs its leader some ten heartbeats a second, and one question
// how far it is; beside those the test sees a few pings. And Raft, which would look
// at each replica three hundred times a second, sleeps: its questions rest.
func TestLeader_AsksIdleReplicasNextToNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		world := memnet.New()
		counter := &dialCounter{Network: world.Host("10.0.0.1").Process()}
		start := func(cfg node.Config) *node.Node {
			cfg.SType, cfg.Insecure = "chat", true
			n, err := node.Start(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := n.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			return n
		}
		leader := start(node.Config{SID: "leader", Listen: "10.0.0.1:7400", Network: counter})
		join := []string{"10.0.0.1:7400"}
		start(node.Config{SID: "b", Listen: "10.0.0.2:7400", Join: join, NonVoter: true, Network: world.Host("10.0.0.2").Process()})
		start(node.Config{SID: "c", Listen: "10.0.0.3:7400", Join: join, NonVoter: true, Network: world.Host("10.0.0.3").Process()})
		if err := leader.Add(ctx, "world", "alice", "leader"); err != nil {
			t.Fatal(err)
		}
		pause(ctx, 3*time.Second)
		const replicas, seconds, most = 2, 20, 18
		before := counter.writes.Load()
		pause(ctx, seconds*time.Second)
		if got := float64(counter.writes.Load()-before) / replicas / seconds; got > most {
			t.Errorf("the leader writes %.1f times a second to an idle replica, want %d at most", got, most)
		}
		resting := 0
		for range 100 { // not in the moments in which a replica is asked
			pause(ctx, 37*time.Millisecond)
			stacks := make([]byte, 4<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			resting += bytes.Count(stacks, []byte("transport.rest("))
		}
		if got, least := float64(resting)/100, 0.8*replicas; got < least {
			t.Errorf("%.2f questions rest, want %.1f at least, one for each of %d replicas", got, least, replicas)
		}
	})
}

// A leader whose last sign of life is a heartbeat of 140 ms ago has 210 ms left. It
// must have its whole lease.
func TestLeader_OfAnIdleClusterSurvivesAShortStall(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		if err := leader.Add(ctx, "world", "alice", leader.Self().SID); err != nil {
			t.Fatal(err)
		}
		term := leader.Status().Term
		lost := 0
		for i := range 40 {
			pause(ctx, time.Second+time.Duration(i)*7*time.Millisecond)
			f.Isolate(leader.Self().SID)
			pause(ctx, 300*time.Millisecond)
			f.Heal()
			pause(ctx, time.Second)
			if now := f.Leader(ctx).Status().Term; now != term {
				lost++
				term = now
				leader = f.Leader(ctx)
			}
		}
		if lost > 0 {
			t.Errorf("%d of 40 stalls of 300 ms cost the leadership", lost)
		}
	})
}
