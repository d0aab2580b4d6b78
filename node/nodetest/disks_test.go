package nodetest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hasAll wants each server that runs to have all these members, and no others.
func hasAll(t *testing.T, ctx context.Context, f *nodetest.Fleet, uids ...string) {
	t.Helper()
	f.WaitEqual(ctx)
	for _, n := range f.Nodes() {
		got, err := n.MembersBySID(ctx, "world", "chat-1", node.Stale())
		must(t, err)
		if len(got) != len(uids) {
			t.Errorf("%s has %v, want %v", n.Self().SID, got, uids)
		}
		for _, uid := range uids {
			if !has(t, ctx, n, uid) {
				t.Errorf("%s has %v, want %v", n.Self().SID, got, uids)
			}
		}
	}
}

// victim is a follower that is not chat-1, whose end would end the members.
func victim(t *testing.T, ctx context.Context, f *nodetest.Fleet) string {
	t.Helper()
	leader := f.Leader(ctx)
	for _, n := range f.Nodes() {
		if sid := n.Self().SID; n != leader && sid != "chat-1" {
			return sid
		}
	}
	t.Fatal("no follower")
	return ""
}

func TestDamagedLog_IsRefusedUntilTheDiskIsWiped(t *testing.T) {
	for what, hurt := range map[string]func(*nodetest.Fleet, string) error{
		"flipped bits": func(f *nodetest.Fleet, sid string) error { return f.FlipBits(sid, nodetest.LogFile) },
		"truncation":   func(f *nodetest.Fleet, sid string) error { return f.TruncateFile(sid, nodetest.LogFile) },
	} {
		t.Run(what, func(t *testing.T) {
			inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, _ *node.Node) {
				must(t, leader.Add(ctx, "world", "alice", "chat-1"))
				sid := victim(t, ctx, f)
				before := f.Node(sid).Self().NodeID
				if err := hurt(f, sid); err == nil {
					t.Error("damaged while it runs")
				}
				f.Kill(sid)
				must(t, hurt(f, sid))
				for range 2 {
					if _, err := f.TryRestart(sid); err == nil || !strings.Contains(err.Error(), "is damaged") {
						t.Errorf("start: %v", err)
					}
				}
				must(t, f.Wipe(sid))
				if now := f.Restart(sid).Status().NodeID; now == before {
					t.Error("a wiped disk has a node id")
				}
				f.WaitReady(ctx)
				hasAll(t, ctx, f, "alice")
			})
		})
	}
}

func TestCopyDisk_BringsBackWhatIsStale(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, _ *node.Node) {
		sid := victim(t, ctx, f)
		before := f.Node(sid).Status()
		f.Kill(sid)
		restore, err := f.CopyDisk(sid)
		must(t, err)
		copied := f.LastIndex(sid)
		f.Restart(sid)
		f.WaitReady(ctx)
		f.Kill(leader.Self().SID) // for a new term
		f.Leader(ctx)
		f.Restart(leader.Self().SID)
		f.WaitReady(ctx)
		must(t, f.Node("chat-1").Add(ctx, "world", "alice", "chat-1"))
		hasAll(t, ctx, f, "alice")
		f.Kill(sid)
		if now := f.LastIndex(sid); copied < before.Applied || now <= copied {
			t.Errorf("the last entry was %d when it was copied and had applied %d, and is %d now", copied, before.Applied, now)
		}
		must(t, restore())
		if now := f.LastIndex(sid); now != copied {
			t.Errorf("the last entry is %d, and was %d when it was copied", now, copied)
		}
		f.Isolate(sid)
		if now := f.Restart(sid).Status(); now.NodeID != before.NodeID || now.Term != before.Term {
			t.Errorf("started as %+v, was %+v", now, before)
		}
		f.Heal()
		f.WaitReady(ctx)
		hasAll(t, ctx, f, "alice")
	})
}

func TestSlowDisk_OfAllMakesWritesSlowUntilMend(t *testing.T) {
	inFleet(t, func(ctx context.Context, f *nodetest.Fleet, leader, _ *node.Node) {
		const sync = 300 * time.Millisecond
		takes := func(uid string) time.Duration {
			begun := time.Now()
			must(t, leader.Add(ctx, "world", uid, "chat-1"))
			return time.Since(begun)
		}
		var mends []func()
		for _, n := range f.Nodes() {
			mends = append(mends, f.SlowDisk(n.Self().SID, sync))
		}
		if d := takes("alice"); d < sync {
			t.Errorf("took %v", d)
		}
		for _, mend := range mends {
			mend()
		}
		takes("bob") // may come behind what is slow
		if d := takes("carol"); d >= sync {
			t.Errorf("took %v after mend", d)
		}
		hasAll(t, ctx, f, "alice", "bob", "carol")
	})
}

// All voters lose their power at one moment, while their disks are busy.
func TestPowerOff_OfAllVotersKeepsWhatWasAcknowledged(t *testing.T) {
	taken := make(map[bool]int) // that nobody acknowledged
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			ctx := limit(t)
			voters := []string{"connector-1", "connector-2", "connector-3"}
			f := nodetest.Cluster(t, node.Config{SID: voters[0], SType: "connector"}, node.Config{SID: voters[1], SType: "connector"},
				node.Config{SID: voters[2], SType: "connector"}, node.Config{SID: "chat-1", SType: "chat", NonVoter: true})
			f.SetSeed(seed)
			f.WaitReady(ctx)
			leader := f.Leader(ctx)
			must(t, leader.Add(ctx, "world", "alice", "chat-1"))
			for _, sid := range voters {
				f.SlowDisk(sid, 100*time.Millisecond)
			}
			go leader.Add(ctx, "world", "bob", "chat-1")
			<-time.After(150 * time.Millisecond) // the leader has it, the others are about to
			f.PowerOff(voters...)
			for _, sid := range voters {
				f.Restart(sid)
			}
			<-time.After(5 * time.Second)
			for _, n := range f.Nodes() {
				if status := n.Status(); status.LeaderNodeID == status.NodeID {
					t.Errorf("%s leads, and has no network", n.Self().SID)
				}
			}
			f.PowerOn(voters...)
			f.WaitReady(ctx)
			f.WaitEqual(ctx)
			for _, n := range f.Nodes() {
				if !has(t, ctx, n, "alice") {
					t.Errorf("seed %d: %s has lost what was acknowledged", seed, n.Self().SID)
				}
				taken[has(t, ctx, n, "bob")]++
			}
		})
	}
	if len(taken) != 2 {
		t.Errorf("what was under way was there: %v", taken)
	}
}

// Of what nobody acknowledged, chance decides; after a kill it is never there.
func TestPowerOff_LeavesToChanceWhatWasUnderWay(t *testing.T) {
	there := make(map[bool]int)
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			ctx := limit(t)
			f := nodetest.Cluster(t, node.Config{SID: "connector-1", SType: "connector"},
				node.Config{SID: "chat-1", SType: "chat", NonVoter: true})
			f.SetSeed(seed)
			f.WaitReady(ctx)
			f.SlowDisk("connector-1", 100*time.Millisecond)
			go f.Node("connector-1").Add(ctx, "world", "alice", "chat-1")
			<-time.After(50 * time.Millisecond)
			f.PowerOff("connector-1")
			f.PowerOn("connector-1")
			n := f.Restart("connector-1")
			f.WaitReady(ctx)
			there[has(t, ctx, n, "alice")]++
		})
	}
	if len(there) != 2 {
		t.Errorf("it was there: %v", there)
	}
}
