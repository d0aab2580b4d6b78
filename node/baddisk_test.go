package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// badDisk is one thing that happens to the disk of one server.
type badDisk struct {
	name string
	hit  func(f *nodetest.Fleet, sid string) (mend func())
	says string // Err
	// votes: nothing is met before the next election.
	votes bool
	hangs bool
}

func badDisks() []badDisk {
	fail := func(which ...nodetest.DiskPart) func(*nodetest.Fleet, string) func() {
		return func(f *nodetest.Fleet, sid string) func() { return f.FailDisk(sid, which...) }
	}
	stall := func(which ...nodetest.DiskPart) func(*nodetest.Fleet, string) func() {
		return func(f *nodetest.Fleet, sid string) func() { return f.StallDisk(sid, which...) }
	}
	return []badDisk{
		{name: "error", hit: fail(), says: "input/output error"},
		{name: "error in the log", hit: fail(nodetest.LogWrites), says: "writing to memory: input/output error"},
		{name: "error in the votes", hit: fail(nodetest.VoteWrites), says: "writing to memory: input/output error", votes: true},
		{name: "error in reading", hit: fail(nodetest.LogReads), says: "reading memory: input/output error"},
		{name: "full", hit: func(f *nodetest.Fleet, sid string) func() { return f.FillDisk(sid, 0) }, says: "no space left on device"},
		{name: "hung", hit: stall(nodetest.LogWrites, nodetest.VoteWrites, nodetest.SnapshotData, nodetest.LogReads), says: "has not returned since", hangs: true},
		{name: "hung votes", hit: stall(nodetest.VoteWrites), says: "has not returned since", votes: true, hangs: true},
	}
}

func TestBadDisk_OfTheLeader(t *testing.T) {
	for _, bad := range badDisks() {
		t.Run(bad.name, func(t *testing.T) { survivesABadDisk(t, bad, true) })
	}
}

func TestBadDisk_OfAFollower(t *testing.T) {
	for _, bad := range badDisks() {
		t.Run(bad.name, func(t *testing.T) { survivesABadDisk(t, bad, false) })
	}
}

// acks are the adds that were acknowledged.
type acks struct {
	mu   sync.Mutex
	uids []string
	at   map[string]int // how many, by the server that was asked
}

func (a *acks) add(uid, sid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.uids = append(a.uids, uid)
	a.at[sid]++
}

func (a *acks) by(sid string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[sid]
}

// adding has every server add members of target until stop, which waits.
func adding(t *testing.T, ctx context.Context, f *nodetest.Fleet, target string) (a *acks, stop func()) {
	a = &acks{at: make(map[string]int)}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, n := range f.Nodes() {
		for caller := range 2 {
			group.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					uid := fmt.Sprintf("%s-%d-%d", n.Self().SID, caller, i)
					switch err := n.Add(ctx, "world", uid, target); {
					case err == nil:
						a.add(uid, n.Self().SID)
					case ctx.Err() == nil:
						t.Errorf("add at %s: %v", n.Self().SID, err)
					}
				}
			})
		}
	}
	return a, func() {
		cancel()
		group.Wait()
	}
}

// survivesABadDisk is the whole story: the fault, leadership elsewhere, what goes on at
// the victim meanwhile, its end, its restart, and that nothing was lost.
func survivesABadDisk(t *testing.T, bad badDisk, leads bool) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := three()
		var pushes atomic.Int64
		for i := range cfgs {
			cfgs[i].OnPush = func(context.Context, *node.Delivery) ([]string, error) {
				pushes.Add(1)
				return nil, nil
			}
		}
		f := readyCluster(t, ctx, cfgs...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		victim := f.Leader(ctx)
		other := follower(t, ctx, f)
		if !leads {
			victim, other = other, victim
		}
		sid := victim.Self().SID
		must(t, victim.Add(ctx, "room", "alice", sid))
		acked, stop := adding(t, ctx, f, other.Self().SID)
		f.Eventually(ctx, func() error { return enough(acked.by(sid), 50) })

		mend := bad.hit(f, sid)
		if bad.votes { // met with the next term
			must(t, f.Leader(ctx).HandOver(ctx))
		}
		began := time.Now()
		f.Eventually(ctx, func() error { return says(victim.Err(), bad.says) })
		f.Eventually(ctx, func() error { // who is elected after the fault, or led before it and goes on
			if l := f.Leader(ctx); l == victim || victim.Status().LeaderNodeID != l.Self().NodeID {
				return fmt.Errorf("%s leads; the victim knows of %q", l.Self().SID, victim.Status().LeaderNodeID)
			}
			return nil
		})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("leadership elsewhere after %v", took)
		} else {
			t.Logf("leadership elsewhere after %v", took)
		}
		frozen(t, ctx, victim, other, sid, bad)
		// Everybody goes on, the victim as a frontend that forwards.
		before := acked.by(sid)
		f.Eventually(ctx, func() error { return enough(acked.by(sid)-before, 50) })
		r, err := other.PushMessage(ctx, "connector", "r", []byte("hi"), "room", node.PushOptions{})
		if err != nil || !r.OK() || pushes.Load() == 0 {
			t.Errorf("push to the victim: %v %+v", err, r)
		}
		stop()

		ended := time.Now()
		err = victim.Close()
		if took := time.Since(ended); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
		if bad.hangs != (err != nil) || bad.hangs && says(err, "a disk call hangs") != nil {
			t.Errorf("Close: %v", err)
		}
		if bad.hangs {
			f.Kill(sid) // what hangs in this process keeps the directory locked
		}
		mend()
		f.Restart(sid)
		must(t, f.Node(sid).Ready(ctx))
		f.WaitEqual(ctx)
		for _, n := range f.Nodes() {
			got := members(t, ctx, n, "world")
			for _, uid := range acked.uids {
				if _, ok := slices.BinarySearch(got, uid+"@"+other.Self().SID); !ok {
					t.Fatalf("%s lost the acknowledged add of %s", n.Self().SID, uid)
				}
			}
		}
		sameState(t, ctx, f)
		t.Logf("%d acknowledged adds, %d of them at the victim, are on all three servers", len(acked.uids), acked.by(sid))
	})
}

// frozen checks what a server whose disk is bad answers, and that it does so at once.
func frozen(t *testing.T, ctx context.Context, victim, other *node.Node, sid string, bad badDisk) {
	t.Helper()
	began := time.Now()
	select {
	case <-victim.Done():
		t.Error("Done is closed")
	default:
	}
	if s := victim.Status(); says(errors.New(s.Problem), bad.says) != nil || s.Ready || s.Role != "voter" {
		t.Errorf("status: %+v", s)
	}
	if ok, reason := victim.MayLead(); ok || says(errors.New(reason), bad.says) != nil {
		t.Errorf("may lead: %v, %q", ok, reason)
	}
	if _, err := victim.MembersBySID(ctx, "world", sid, node.Stale()); err != nil {
		t.Errorf("stale read: %v", err)
	}
	if took := time.Since(began); took != 0 {
		t.Errorf("waited %v for what is in memory", took)
	}
	if ok, reason := other.MayLead(); !ok {
		t.Errorf("the other may not lead: %s", reason)
	}
	must(t, victim.Add(ctx, "room", "bob", other.Self().SID))
	err := timed(t, ctx, time.Second, func(ctx context.Context) error {
		_, err := victim.MembersBySID(ctx, "room", sid)
		return err
	})
	if !errors.Is(err, node.ErrReplicaBehind) {
		t.Errorf("read of its own last write: %v, want %v", err, node.ErrReplicaBehind)
	}
}

func enough(got, want int) error {
	if got < want {
		return fmt.Errorf("%d of %d", got, want)
	}
	return nil
}

func says(err error, want string) error {
	if err == nil || !strings.Contains(err.Error(), want) {
		return fmt.Errorf("%v does not say %q", err, want)
	}
	return nil
}

func sameState(t *testing.T, ctx context.Context, f *nodetest.Fleet) {
	t.Helper()
	f.Eventually(ctx, func() error {
		index, sum := f.Nodes()[0].Hash()
		for _, n := range f.Nodes() {
			if i, s := n.Hash(); i != index || s != sum {
				return fmt.Errorf("%s is at %d %s, %s at %d %s", f.Nodes()[0].Self().SID, index, sum, n.Self().SID, i, s)
			}
		}
		return nil
	})
}

// The first write of a fresh founder fails, or hangs.
func TestClose_AfterTheBootstrapFailed(t *testing.T) {
	for _, kind := range []string{"error", "hung"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				a := server("c1", "connector")
				a.Expect, a.Join = 2, []string{"10.0.0.2:7400"}
				f := nodetest.Cluster(t, a)
				if kind == "error" {
					defer f.FailDisk("c1")()
				} else {
					defer f.StallDisk("c1", nodetest.LogWrites, nodetest.VoteWrites)()
				}
				b := server("c2", "connector")
				b.Expect = 2
				f.Start(b)
				f.Eventually(ctx, func() error {
					if f.Node("c1").Err() == nil {
						return fmt.Errorf("no error yet")
					}
					return nil
				})
				closed := make(chan error, 1)
				go func() { closed <- f.Node("c1").Close() }()
				select {
				case err := <-closed:
					t.Log(err)
				case <-time.After(time.Minute):
					t.Errorf("Close has not returned after a minute")
				}
			})
		})
	}
}
