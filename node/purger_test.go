package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// managedFour are three founders and c4, who has no vote.
func managedFour(t *testing.T, ctx context.Context) (*userStore, *nodetest.Fleet) {
	t.Helper()
	s := new(userStore)
	f := readyCluster(t, ctx, over(s, four()...)...)
	for _, n := range f.Nodes() {
		must(t, n.Add(ctx, "guild", "player", n.Self().SID))
	}
	s.mu.Lock()
	s.calls = nil
	s.mu.Unlock()
	return s, f
}

// purged waits until a server has no members in the store.
func purged(t *testing.T, ctx context.Context, f *nodetest.Fleet, s *userStore, sid string) {
	t.Helper()
	f.Eventually(ctx, func() error {
		if got := s.in("guild", sid); len(got) > 0 {
			return fmt.Errorf("%s still has %q", sid, got)
		}
		return nil
	})
}

func TestChannelManager_ForgetsLivesThatEnd(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, ctx context.Context, f *nodetest.Fleet) (sid string){
		"a close": func(t *testing.T, _ context.Context, f *nodetest.Fleet) string {
			must(t, f.Node("c4").Close())
			return "c4"
		},
		"a kill": func(_ *testing.T, _ context.Context, f *nodetest.Fleet) string { f.Kill("c4"); return "c4" },
		"the leader closes": func(t *testing.T, ctx context.Context, f *nodetest.Fleet) string {
			n := f.Leader(ctx)
			must(t, n.Close())
			return n.Self().SID
		},
		"the leader dies": func(t *testing.T, ctx context.Context, f *nodetest.Fleet) string {
			n := f.Leader(ctx)
			f.Kill(n.Self().SID)
			return n.Self().SID
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				s, f := managedFour(t, ctx)
				sid := end(t, ctx, f)
				soon, cancel := context.WithTimeout(ctx, reapWithin)
				defer cancel()
				purged(t, soon, f, s, sid)
				pause(ctx, time.Minute)
				for _, n := range f.Nodes() {
					wantNames(t, "on "+n.Self().SID, s.in("guild", n.Self().SID), "player")
				}
				if got := s.count("PurgeSID " + sid); got > 3 {
					t.Errorf("PurgeSID(%s) came %d times", sid, got)
				}
			})
		})
	}
}

// What does not succeed is tried again, with pauses, by the next leader too, and keeps
// nothing from happening meanwhile.
func TestChannelManager_IsAskedAgainToForget(t *testing.T) {
	for name, fault := range map[string]func() error{
		"error": func() error { return errStore },
		"panic": func() error { panic("store") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				s, f := managedFour(t, ctx)
				s.before(func(_ context.Context, _, method, sid string) error {
					if method == "PurgeSID" {
						return fault()
					}
					return nil
				})
				f.Kill("c4")
				pause(ctx, 2*time.Minute)
				if tried := s.count("PurgeSID c4"); tried < 8 || tried > 16 {
					t.Errorf("tried %d times in 2 minutes", tried)
				}
				must(t, f.Leader(ctx).Add(ctx, "guild", "alice", "c1"))
				leader := f.Leader(ctx)
				must(t, leader.HandOver(ctx))
				next := f.Leader(ctx)
				f.Eventually(ctx, func() error {
					if s.count("PurgeSID by "+next.Self().SID) == 0 {
						return errors.New("the next leader has not tried")
					}
					return nil
				})
				s.before(nil)
				purged(t, ctx, f, s, "c4")
			})
		})
	}
}

// One sid whose call hangs keeps no other one from being purged, and no leader from closing.
func TestChannelManager_ThatHangsOverOneSIDForgetsTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s, f := managedFour(t, ctx)
		leader, other := f.Leader(ctx), follower(t, ctx, f, "c4").Self().SID
		release := make(chan struct{})
		s.before(func(_ context.Context, _, method, sid string) error {
			if method == "PurgeSID" && sid == "c4" {
				<-release
			}
			return nil
		})
		f.Kill("c4")
		pause(ctx, 2*reapAfter)
		must(t, f.Node(other).Close())
		purged(t, ctx, f, s, other)
		pause(ctx, time.Minute)
		if got := s.count("PurgeSID c4"); got != 1 {
			t.Errorf("a call that hangs was repeated: %d", got)
		}
		// The sid comes back all the same.
		must(t, f.Restart("c4").Ready(ctx))
		start := time.Now()
		_ = leader.Close()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
		close(release)
		synctest.Wait()
	})
}

// A server is often back before its end is noticed; then it has its old life's members
// removed before it lets anybody in.
func TestChannelManager_ForgetsTheLifeBeforeARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s, f := managedFour(t, ctx)
		f.Kill("c4")
		n := f.Restart("c4")
		must(t, n.Ready(ctx))
		wantNames(t, "on c4", s.in("guild", "c4"))
		must(t, n.Add(ctx, "guild", "new", "c4"))
		pause(ctx, time.Minute)
		wantNames(t, "on c4", s.in("guild", "c4"), "new")
	})
}

// A call for the old life that is under way ends before the new one has members.
func TestChannelManager_DoesNotForgetTheNewLife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s, f := managedFour(t, ctx)
		asked := make(chan struct{}, 100)
		s.before(func(ctx context.Context, by, method, sid string) error {
			if method != "PurgeSID" || by == "c4" {
				return nil
			}
			asked <- struct{}{}
			<-ctx.Done() // and then removes all the same
			return nil
		})
		f.Kill("c4")
		<-asked
		n := f.Restart("c4")
		must(t, n.Ready(ctx))
		must(t, n.Add(ctx, "guild", "new", "c4"))
		pause(ctx, time.Minute)
		wantNames(t, "on c4", s.in("guild", "c4"), "new")
	})
}

// Where the process lives on, its host is told to add its players again.
func TestChannelManager_ForgetsALifeThatComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		cfgs, told := four(), make(chan node.Fenced, 1)
		cfgs[3].OnFenced = func(_ context.Context, f node.Fenced) { told <- f }
		f := readyCluster(t, ctx, over(s, cfgs...)...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "guild", "alice", "c4"))
		reaped(t, ctx, f, func() { purged(t, ctx, f, s, "c4") })
		if got := <-told; got.Restored != 0 || got.Missed != -1 || got.New == 0 {
			t.Errorf("told %+v", got)
		}
		must(t, n.Add(ctx, "guild", "alice", "c4"))
		pause(ctx, time.Minute)
		wantNames(t, "on c4", s.in("guild", "c4"), "alice")
	})
}

func TestChannelManager_ForgetsAttachedFrontends(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s, f := managedFour(t, ctx)
		must(t, s.Store.Add(ctx, "guild", "ghost", "remote-1"))
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		wantNames(t, "before anybody is let in", s.in("guild", "remote-1"))
		must(t, f.Node("c1").Add(ctx, "guild", "alice", "remote-1"))
		f.WaitEqual(ctx) // so that c1 knows it
		got, err := f.Node("c1").MembersByChannelName(ctx, "connector", "guild")
		must(t, err)
		wantNames(t, "by type", got, "alice", "player")

		a.end() // and the same life goes on elsewhere
		again, err := attach(t, ctx, f, "c1", &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: a.life.GetIncarnation()})
		must(t, err)
		if again.life.GetEpoch() != a.life.GetEpoch() {
			t.Fatal("another life")
		}
		wantNames(t, "resumed", s.in("guild", "remote-1"), "alice")
		again.end()
		purged(t, ctx, f, s, "remote-1")
	})
}

func TestChannelManager_PushTargetsAreWhatEachFrontendAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, over(s, append(four(), server("b1", "chat"))...)...)
		n := f.Node("b1")
		for _, m := range [][2]string{{"alice", "c1"}, {"bob", "c1"}, {"alice", "c2"}, {"carol", "c3"}, {"dave", "b1"}, {"eve", "gone"}} {
			must(t, n.Add(ctx, "guild", m[0], m[1]))
		}
		targets, index, err := n.PushTargets(ctx, "guild", "connector")
		must(t, err)
		wantTargets(t, f, targets, "c1:alice,bob", "c2:alice", "c3:carol")
		if index == 0 {
			t.Error("no index")
		}
		if got := s.count("MembersBySID c1"); got != 1 {
			t.Errorf("c1 was asked for %d times", got)
		}

		// What fails is told of each; the others have what is left of the time.
		release := make(chan struct{})
		defer close(release)
		s.before(func(ctx context.Context, _, _, sid string) error {
			switch sid {
			case "c1":
				<-release
			case "c2":
				return errors.New("shard is down\xff")
			case "c4":
				panic("store")
			}
			return nil
		})
		bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		start := time.Now()
		targets, _, err = n.PushTargets(bounded, "guild", "connector")
		must(t, err)
		if took := time.Since(start); took > time.Second+grace {
			t.Errorf("took %v", took)
		}
		wantTargets(t, f, targets, "c3:carol", "c1!", "c2!", "c4!")
		for _, target := range targets[1:] {
			t.Log(target.Reason)
		}

		// No such type, nobody there, no time.
		targets, _, err = n.PushTargets(ctx, "guild", "nothing")
		must(t, err)
		wantTargets(t, f, targets)
		s.before(nil)
		targets, _, err = n.PushTargets(ctx, "nowhere", "connector")
		must(t, err)
		wantTargets(t, f, targets)
		over, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := n.PushTargets(over, "guild", "connector"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// wantTargets compares sid:uid,uid of those with members, and sid! of those that failed.
func wantTargets(t *testing.T, f *nodetest.Fleet, got []node.PushTarget, want ...string) {
	t.Helper()
	var list []string
	for _, target := range got {
		if self := f.Node(target.SID).Self(); target.Epoch != self.Epoch {
			t.Errorf("%s has life %d, want %d", target.SID, target.Epoch, self.Epoch)
		}
		text := target.SID + "!"
		if target.Reason == "" {
			text = target.SID + ":"
			for i, uid := range slices.Sorted(slices.Values(target.UIDs)) {
				if i > 0 {
					text += ","
				}
				text += uid
			}
		}
		list = append(list, text)
	}
	if !slices.Equal(list, want) {
		t.Errorf("targets %q, want %q", list, want)
	}
}
