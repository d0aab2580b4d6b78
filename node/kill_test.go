package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func TestNode_LeaderKilledUnderLoadLosesNothingAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		leader := f.Leader(ctx).Self().SID
		target := follower(t, ctx, f).Self().SID // is not restarted
		l := &load{t: t, after: make(map[string]int), reached: make(chan struct{})}
		l.start(ctx, f, target, leader)
		select {
		case <-l.reached:
		case <-ctx.Done():
			t.Fatal("no load")
		}
		l.dying.Store(true)
		f.Kill(leader)
		l.killed.Store(true)
		l.writers.Wait()

		f.WaitEqual(ctx)
		for _, n := range f.Nodes() {
			got := members(t, ctx, n, "world")
			for _, uid := range l.acked {
				if _, ok := slices.BinarySearch(got, uid+"@"+target); !ok {
					t.Errorf("%s lost the acknowledged add of %s", n.Self().SID, uid)
				}
			}
			if l.after[n.Self().SID] == 0 {
				t.Errorf("no write went on at %s", n.Self().SID)
			}
		}
	})
}

// load is many callers on every node.
type load struct {
	t       *testing.T
	dying   atomic.Bool   // the kill has begun: the victim may err
	killed  atomic.Bool   // and it is over
	reached chan struct{} // closed after 200 acknowledged adds
	writers sync.WaitGroup

	mu    sync.Mutex // guards all below
	acked []string
	after map[string]int // acknowledged after the kill, by node
}

const (
	callersPerNode = 4
	addsPerCaller  = 60
)

func (l *load) start(ctx context.Context, f *nodetest.Fleet, target, victim string) {
	for _, n := range f.Nodes() {
		for caller := range callersPerNode {
			l.writers.Go(func() { l.write(ctx, n, target, caller, n.Self().SID == victim) })
		}
	}
}

func (l *load) write(ctx context.Context, n *node.Node, target string, caller int, victim bool) {
	for i := range addsPerCaller {
		uid := fmt.Sprintf("%s-%d-%d", n.Self().SID, caller, i)
		killedBefore := l.killed.Load()
		err := n.Add(ctx, "world", uid, target)
		switch {
		case err != nil && victim && l.dying.Load():
			class(l.t, err)
			return
		case err != nil:
			l.t.Errorf("add at a survivor: %v (%v)", err, class(l.t, err))
		case !victim || !killedBefore:
			l.acknowledged(n.Self().SID, uid, killedBefore)
		}
	}
}

func (l *load) acknowledged(sid, uid string, afterKill bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, uid)
	if afterKill {
		l.after[sid]++
	}
	if len(l.acked) == 200 {
		close(l.reached)
	}
}

func TestNode_ThreeVotersKilledTogetherKeepTheFourthsMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		for _, sid := range []string{"c1", "c4"} {
			for i := range 20 {
				must(t, n.Add(ctx, "world", fmt.Sprint("player-", i), sid))
			}
		}
		must(t, n.Leave(ctx, "world", "player-0", "c4"))
		f.Kill("c1", "c2", "c3")
		for _, sid := range []string{"c1", "c2", "c3"} {
			f.Restart(sid)
		}
		f.WaitReady(ctx)
		var want []string
		for i := 1; i < 20; i++ {
			want = append(want, fmt.Sprintf("player-%d@c4", i))
		}
		everywhere(t, ctx, f, "world", want...) // a new life has no players
		must(t, f.Node("c1").Add(ctx, "world", "player-0", "c1"))
		everywhere(t, ctx, f, "world", append(want, "player-0@c1")...)
		if n.Err() != nil || !n.Status().Ready {
			t.Errorf("the fourth: %v, %+v", n.Err(), n.Status())
		}
	})
}

func TestNode_AddWhoseAnswerWasLostWithTheLeaderTakesEffectOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx).Self().SID
		origin := follower(t, ctx, f)
		witness := follower(t, ctx, f, origin.Self().SID)
		f.Cut(leader, origin.Self().SID) // the leader hears, and its answers vanish
		type outcome struct {
			changed bool
			err     error
		}
		done := make(chan outcome, 1)
		op := node.Op{Kind: node.OpAdd, Name: "world", UID: "alice", SID: witness.Self().SID}
		go func() {
			_, changed, err := origin.Write(ctx, op)
			done <- outcome{changed, err}
		}()
		f.Eventually(ctx, func() error { // it has taken effect
			if len(members(t, ctx, witness, "world", node.Stale())) == 0 {
				return fmt.Errorf("not committed yet")
			}
			return nil
		})
		f.Kill(leader)
		f.Heal()
		got := <-done
		if got.err != nil || !got.changed {
			t.Errorf("the resent add: changed %v, %v; want the stored answer of the first", got.changed, got.err)
		}
		op.Kind = node.OpLeave
		if _, changed, err := origin.Write(ctx, op); err != nil || !changed {
			t.Errorf("leave: changed %v, %v", changed, err)
		}
		everywhere(t, ctx, f, "world")
	})
}
