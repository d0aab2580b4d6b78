package node_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// returnsWithin is what the promise allows from the heal, or the start, until a
// replica holds the log again.
const returnsWithin = time.Second

// writing adds a member each time until the returned function is called.
func writing(t *testing.T, ctx context.Context, n *node.Node, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var writer sync.WaitGroup
	writer.Go(func() {
		pace := time.NewTicker(every)
		defer pace.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			if err := n.Add(ctx, "world", fmt.Sprint("player-", i), n.Self().SID); err != nil && ctx.Err() == nil {
				t.Errorf("write: %v", err)
			}
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		writer.Wait()
	}
}

// caughtUp waits until replica has what n has now, and returns how long that took.
func caughtUp(t *testing.T, ctx context.Context, n, replica *node.Node) time.Duration {
	t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for replica.Status().Applied < n.Status().Applied {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("30 s later the replica is at %d, the leader at %d", replica.Status().Applied, n.Status().Applied)
		}
	}
	return time.Since(begun)
}

func TestReplica_HoldsTheLogSoonAfterAPartition(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ context.Context) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*away+time.Minute)
				defer cancel()
				f := readyCluster(t, ctx, four()...)
				f.SetLatency(time.Millisecond)
				leader := f.Leader(ctx)
				for _, replica := range []*node.Node{follower(t, ctx, f), f.Node("c4")} {
					stop := writing(t, ctx, leader, paced(max(away/1000, 20*time.Millisecond)))
					f.Isolate(replica.Self().SID)
					<-time.After(away)
					f.Heal()
					if took := caughtUp(t, ctx, leader, replica); took > returnsWithin {
						t.Errorf("a %s that was away for %v held the log again %v after the heal", replica.Status().Role, away, took)
					}
					stop()
				}
			})
		})
	}
}

// One direction only: the replica hears the leader, whose calls all the same fail.
func TestReplica_HoldsTheLogSoonAfterAOneWayCut(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader, replica := f.Leader(ctx), f.Node("c4")
		for _, cut := range [][2]string{{leader.Self().SID, "c4"}, {"c4", leader.Self().SID}} {
			stop := writing(t, ctx, leader, 20*time.Millisecond)
			f.Cut(cut[0], cut[1])
			<-time.After(20 * time.Second)
			f.Heal()
			if took := caughtUp(t, ctx, leader, replica); took > returnsWithin {
				t.Errorf("%v after %s was cut from %s", took, cut[0], cut[1])
			}
			stop()
		}
	})
}

func TestReplica_HoldsTheLogSoonAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx)
		stop := writing(t, ctx, leader, 20*time.Millisecond)
		f.Kill("c4")
		<-time.After(time.Minute)
		replica := f.Restart("c4")
		if took := caughtUp(t, ctx, leader, replica); took > returnsWithin {
			t.Errorf("%v after the start", took)
		}
		stop()
	})
}

// A server that left the configuration while it was away must not be called for ever.
func TestCluster_NewLeaderWithAFollowerAwayStillServes(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.Isolate("c4")
		<-time.After(10 * time.Second)
		old := f.Leader(ctx).Self().SID
		must(t, f.Leader(ctx).Close()) // held calls must not delay it
		f.Eventually(ctx, func() error {
			if l := f.Leader(ctx).Self().SID; l == old {
				return errors.New("no new leader")
			}
			return nil
		})
		leader := f.Leader(ctx)
		must(t, leader.Add(ctx, "world", "alice", leader.Self().SID))
		f.Heal()
		if took := caughtUp(t, ctx, leader, f.Node("c4")); took > returnsWithin {
			t.Errorf("%v after the heal", took)
		}
	})
}

// It answers probes all the time, and whatever is sent to it stays with it.
func TestCluster_HangingDiskOfAFollowerTakesBoundedMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, _ context.Context) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f := readyCluster(t, ctx, three()...)
		leader, stuck := f.Leader(ctx), follower(t, ctx, f)
		resume := f.StallDisk(stuck.Self().SID)
		long := strings.Repeat("x", 250)
		var ops []node.Op
		for i := range 390 {
			ops = append(ops, node.Op{Kind: node.OpLeave, Name: long, UID: fmt.Sprint(long, i), SID: "c1"})
		}
		for range 40 {
			if _, err := leader.Apply(ctx, ops...); err != nil {
				t.Fatal(err)
			}
		}
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc >> 20
		}
		before, goroutines := heap(), runtime.NumGoroutine()
		const minutes = 3
		pause(ctx, minutes*time.Minute)
		// Each heartbeat that times out, 18 a minute, leaves a goroutine and a buffer of 256 KiB.
		if now, running := heap(), runtime.NumGoroutine(); now > before+6*minutes || running > goroutines+20*minutes {
			t.Errorf("%d min later: %d MiB, was %d; %d goroutines, were %d", minutes, now, before, running, goroutines)
		}
		resume()
		if took := caughtUp(t, ctx, leader, stuck); took > returnsWithin {
			t.Errorf("%v after the disk went on", took)
		}
	})
}

// With real time and a real disk, where anything may be slow once: the best of three
// restarts counts. A leader that backs off does so for seconds, after each of them;
// the exact bound is for TestReplica_HoldsTheLogSoonAfterARestart.
func TestLoopback_RestartedServerHoldsTheLogSoon(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	cfgs := onLoopback(t)
	var nodes []*node.Node
	for _, cfg := range cfgs {
		nodes = append(nodes, start(t, cfg))
	}
	for _, n := range nodes {
		must(t, n.Ready(ctx))
	}
	i := 0
	for nodes[i].Status().LeaderNodeID == nodes[i].Self().NodeID {
		i++
	}
	leader := nodes[(i+1)%3]
	for _, n := range nodes {
		if n.Status().LeaderNodeID == n.Self().NodeID {
			leader = n
		}
	}
	stop := writing(t, ctx, leader, 20*time.Millisecond)
	defer stop()
	var all []time.Duration
	for replica := nodes[i]; len(all) < 3; {
		must(t, replica.Close())
		<-time.After(8 * time.Second)
		replica = start(t, cfgs[i]) // listens when this returns
		took := caughtUp(t, ctx, leader, replica)
		if took <= returnsWithin {
			return
		}
		all = append(all, took)
	}
	t.Errorf("%v after it listened", all)
}
