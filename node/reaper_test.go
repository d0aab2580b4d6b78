package node_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

const (
	reapAfter  = 10 * time.Second
	reapWithin = reapAfter + 10*time.Second // PROMISES P7
)

// livesOf is who is alive, with which life, as every running server shows it.
func livesOf(t *testing.T, ctx context.Context, f *nodetest.Fleet) map[string]uint64 {
	t.Helper()
	var lives map[string]uint64
	f.Eventually(ctx, func() error {
		lives = nil
		for _, n := range f.Nodes() {
			now := map[string]uint64{}
			for _, s := range n.Servers() {
				now[s.SID] = s.Epoch
			}
			if lives != nil && !maps.Equal(lives, now) {
				return fmt.Errorf("%s shows %v, the one before %v", n.Self().SID, now, lives)
			}
			lives = now
		}
		return nil
	})
	return lives
}

// players puts one onto each server, into one channel, and returns who is in it.
func players(t *testing.T, ctx context.Context, f *nodetest.Fleet, sids ...string) (all []string) {
	t.Helper()
	for _, sid := range sids {
		must(t, f.Node(sid).Add(ctx, "world", "player", sid))
		all = append(all, "player@"+sid)
	}
	everywhere(t, ctx, f, "world", all...)
	return all
}

func without(list []string, gone ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(gone, s) })
}

// everybody is unchanged for as long as d: same lives, same members, same votes.
func everybodyStays(t *testing.T, ctx context.Context, f *nodetest.Fleet, d time.Duration, what func()) {
	t.Helper()
	sids := []string{}
	for _, n := range f.Nodes() {
		sids = append(sids, n.Self().SID)
	}
	all := players(t, ctx, f, sids...)
	lives, votes := livesOf(t, ctx, f), roles(f)
	what()
	pause(ctx, d)
	f.Heal()
	f.Leader(ctx)
	must(t, f.Nodes()[0].Add(ctx, "world", "late", f.Nodes()[0].Self().SID)) // so that all have caught up
	f.WaitEqual(ctx)
	if diff := cmp.Diff(lives, livesOf(t, ctx, f)); diff != "" {
		t.Errorf("lives (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(votes, roles(f)); diff != "" {
		t.Errorf("votes (-before +after):\n%s", diff)
	}
	everywhere(t, ctx, f, "world", append(all, "late@"+f.Nodes()[0].Self().SID)...)
}

func roles(f *nodetest.Fleet) map[string]string {
	all := map[string]string{}
	for _, n := range f.Nodes() {
		all[n.Self().SID] = n.Status().Role
	}
	return all
}

func TestReaper_KilledServersMembersAreGoneEverywhereInTime(t *testing.T) {
	tests := map[string]func(t *testing.T, ctx context.Context, f *nodetest.Fleet) string{
		"a replica": func(*testing.T, context.Context, *nodetest.Fleet) string { return "c4" },
		"a voter": func(t *testing.T, ctx context.Context, f *nodetest.Fleet) string {
			return follower(t, ctx, f).Self().SID
		},
		"the leader": func(t *testing.T, ctx context.Context, f *nodetest.Fleet) string {
			return f.Leader(ctx).Self().SID
		},
	}
	for name, choose := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, four()...)
				all := players(t, ctx, f, "c1", "c2", "c3", "c4")
				before := livesOf(t, ctx, f)
				victim := choose(t, ctx, f)
				died := time.Now()
				f.Kill(victim)
				soon, cancel := context.WithTimeout(ctx, reapWithin)
				defer cancel()
				everywhere(t, soon, f, "world", without(all, "player@"+victim)...)
				took := time.Since(died)
				t.Logf("gone everywhere after %v", took)
				if took < reapAfter-time.Second {
					t.Errorf("reaped after %v", took)
				}
				delete(before, victim)
				pause(ctx, 2*reapAfter) // and nobody else follows
				if diff := cmp.Diff(before, livesOf(t, ctx, f)); diff != "" {
					t.Errorf("lives (-before +after):\n%s", diff)
				}
				everywhere(t, ctx, f, "world", without(all, "player@"+victim)...)
			})
		})
	}
}

// A machine that lost its power refuses nothing.
func TestReaper_SilenceWithoutARefusalIsEnoughToo(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		all := players(t, ctx, f, "c1", "c2", "c3", "c4")
		f.PowerOff("c4")
		died := time.Now()
		soon, cancel := context.WithTimeout(ctx, reapWithin)
		defer cancel()
		everywhere(t, soon, f, "world", without(all, "player@c4")...)
		t.Logf("gone everywhere after %v", time.Since(died))
	})
}

func TestReaper_ShortAbsencesHarmNobody(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 7 * time.Second} {
		for _, who := range []string{"c4", "a voter", "the leader"} {
			t.Run(fmt.Sprintf("%s for %v", who, d), func(t *testing.T) {
				inBubble(t, func(t *testing.T, ctx context.Context) {
					f := readyCluster(t, ctx, four()...)
					everybodyStays(t, ctx, f, d, func() {
						switch who {
						case "a voter":
							f.Isolate(follower(t, ctx, f).Self().SID)
						case "the leader":
							f.Isolate(f.Leader(ctx).Self().SID)
						default:
							f.Isolate(who)
						}
					})
				})
			})
		}
	}
}

// A leader with a minority hears nothing of the others, and must not have them
// ended once it is back. The others end its life, and nobody else's.
func TestReaper_LeaderCutOffEndsNobody(t *testing.T) {
	for _, d := range []time.Duration{15 * time.Second, time.Minute} {
		t.Run(d.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, append(four(), node.Config{SID: "c5", SType: "connector", NonVoter: true})...)
				all := players(t, ctx, f, "c1", "c2", "c3", "c4", "c5")
				before := livesOf(t, ctx, f)
				old := f.Leader(ctx).Self().SID
				f.Isolate(old, "c5") // a replica on its side of the cut
				pause(ctx, d)
				f.Heal()
				f.Leader(ctx)
				pause(ctx, 2*reapAfter)
				after := livesOf(t, ctx, f)
				for sid, epoch := range before {
					if sid != old && sid != "c5" && after[sid] != epoch {
						t.Errorf("the life of %s was %d, is %d", sid, epoch, after[sid])
					}
				}
				for _, n := range f.Nodes() {
					got := members(t, ctx, n, "world", node.Stale())
					for _, m := range without(all, "player@"+old, "player@c5") {
						if !slices.Contains(got, m) {
							t.Errorf("%s lost %s: %v", n.Self().SID, m, got)
						}
					}
				}
			})
		})
	}
}

// Questions arrive and answers do not, or the reverse: somebody else can tell that
// the server is there.
func TestReaper_OneWayCutToTheLeaderEndsNobody(t *testing.T) {
	for _, who := range []string{"a replica", "a voter"} {
		for _, way := range []string{"from the leader", "to the leader"} {
			t.Run(who+", "+way, func(t *testing.T) {
				inBubble(t, func(t *testing.T, ctx context.Context) {
					f := readyCluster(t, ctx, four()...)
					everybodyStays(t, ctx, f, time.Minute, func() {
						leader, other := f.Leader(ctx).Self().SID, "c4"
						if who == "a voter" {
							other = follower(t, ctx, f).Self().SID
						}
						if way == "from the leader" {
							f.Cut(leader, other)
						} else {
							f.Cut(other, leader)
						}
					})
				})
			})
		}
	}
}

// Gossip alone removes nothing: neither lives nor votes.
func TestReaper_OnlyGossipBlockedForTenMinutes(t *testing.T) {
	inBubble(t, func(t *testing.T, _ context.Context) { // five minutes are not enough
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		cfgs := []node.Config{}
		for i := range 5 {
			cfgs = append(cfgs, server(fmt.Sprintf("c%d", i+1), "connector"))
			cfgs[i].Expect = 5
		}
		cfgs = append(cfgs, node.Config{SID: "c6", SType: "connector", NonVoter: true})
		f := readyCluster(t, ctx, cfgs...)
		leader := f.Leader(ctx).Self().SID
		everybodyStays(t, ctx, f, 10*time.Minute, func() {
			f.CutGossip()
			f.Eventually(ctx, func() error { // the fault is real
				for _, n := range f.Nodes() {
					if got := n.Gossip(); len(got) != 1 {
						return fmt.Errorf("%s still has %v in sight", n.Self().SID, got)
					}
				}
				return nil
			})
		})
		if now := f.Leader(ctx).Self().SID; now != leader {
			t.Errorf("%s led, now %s does", leader, now)
		}
		// And whoever dies in such a time is noticed all the same.
		f.CutGossip()
		died := time.Now()
		f.Kill("c6")
		soon, cancel := context.WithTimeout(ctx, reapWithin)
		defer cancel()
		f.Eventually(soon, func() error {
			if lives := livesOf(t, ctx, f); lives["c6"] != 0 {
				return fmt.Errorf("lives: %v", lives)
			}
			return nil
		})
		t.Logf("gone after %v without gossip", time.Since(died))
	})
}

// While its disk stands still a leader can't commit anything; nothing that it would
// have committed may come true later.
func TestReaper_LeaderWithAHangingDiskEndsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		all := players(t, ctx, f, "c1", "c2", "c3", "c4")
		before := livesOf(t, ctx, f)
		leader := f.Leader(ctx).Self().SID
		resume := f.StallDisk(leader)
		pause(ctx, time.Minute)
		resume()
		pause(ctx, 2*reapAfter)
		f.Leader(ctx)
		if diff := cmp.Diff(before, livesOf(t, ctx, f)); diff != "" {
			t.Errorf("lives (-before +after):\n%s", diff)
		}
		everywhere(t, ctx, f, "world", all...)
	})
}

// A sid that comes back at once. How long until its new life is registered, and the
// old members are gone?
func TestReaper_QuickRestartOfASID(t *testing.T) {
	elsewhere := func(t *testing.T, f *nodetest.Fleet, cfg node.Config) *node.Node {
		cfg.Listen = "" // a new machine, a new address
		cfg.Join = []string{f.Address("c1"), f.Address("c2"), f.Address("c3")}
		return f.Start(cfg)
	}
	moved := node.Config{SID: "c4", SType: "connector", NonVoter: true}
	diskless := moved
	diskless.DataDir = nodetest.Diskless
	otherPort := moved
	otherPort.Listen = "0.0.0.0:7401"
	tests := map[string]struct {
		config  node.Config
		restart func(t *testing.T, f *nodetest.Fleet) *node.Node
		within  time.Duration
	}{
		"same address, same directory":   {moved, func(t *testing.T, f *nodetest.Fleet) *node.Node { return f.Restart("c4") }, 2 * time.Second},
		"same address, no directory":     {diskless, func(t *testing.T, f *nodetest.Fleet) *node.Node { return f.Restart("c4") }, 2 * time.Second},
		"new address, same directory":    {moved, func(t *testing.T, f *nodetest.Fleet) *node.Node { return f.RestartWith("c4", advertised(f, otherPort)) }, 2 * time.Second},
		"new machine, without directory": {moved, func(t *testing.T, f *nodetest.Fleet) *node.Node { return elsewhere(t, f, diskless) }, 2 * time.Second},
		"new machine, the old one says nothing": {moved, func(t *testing.T, f *nodetest.Fleet) *node.Node {
			return elsewhere(t, f, moved)
		}, reapWithin},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "new address, same directory" {
				skipMoves(t)
			}
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, append(three(), test.config)...)
				all := players(t, ctx, f, "c1", "c2", "c3", "c4")
				before := livesOf(t, ctx, f)
				if test.within == reapWithin {
					f.PowerOff("c4")
				} else {
					f.Kill("c4")
				}
				died := time.Now()
				n := test.restart(t, f)
				soon, cancel := context.WithTimeout(ctx, test.within)
				defer cancel()
				must(t, n.Ready(soon))
				t.Logf("registered after %v", time.Since(died))
				rest := []*node.Node{f.Node("c1"), f.Node("c2"), f.Node("c3"), n}
				f.Eventually(soon, func() error {
					for _, n := range rest {
						if got := members(t, ctx, n, "world", node.Stale()); !slices.Equal(got, without(all, "player@c4")) {
							return fmt.Errorf("%s shows %v", n.Self().SID, got)
						}
					}
					return nil
				})
				t.Logf("old members gone after %v", time.Since(died))
				must(t, n.Add(ctx, "world", "again", "c4"))
				f.WaitEqual(ctx)
				pause(ctx, 2*reapAfter) // nothing that was decided about the old life hits the new one
				for _, other := range rest {
					now := map[string]uint64{}
					for _, s := range other.Servers() {
						now[s.SID] = s.Epoch
					}
					before["c4"] = n.Self().Epoch
					if diff := cmp.Diff(before, now); diff != "" {
						t.Errorf("lives at %s (-want +got):\n%s", other.Self().SID, diff)
					}
				}
			})
		})
	}
}

func advertised(f *nodetest.Fleet, cfg node.Config) node.Config {
	old := f.Address(cfg.SID)
	cfg.Advertise = old[:len(old)-len("7400")] + "7401"
	return cfg
}

func TestReaper_AttachedFrontendsLiveAsLongAsTheirStream(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		mustAttach(t, ctx, f, "c4", "guest")
		must(t, f.Node("c1").Add(ctx, "world", "alice", "guest"))
		before := livesOf(t, ctx, f)
		pause(ctx, 2*time.Minute)
		if diff := cmp.Diff(before, livesOf(t, ctx, f)); diff != "" {
			t.Errorf("lives (-before +after):\n%s", diff)
		}
		f.Kill("c4")
		soon, cancel := context.WithTimeout(ctx, reapWithin)
		defer cancel()
		everywhere(t, soon, f, "world")
	})
}

func TestForget_EndedLivesAreForgottenInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		for i := range cfgs {
			cfgs[i].Cluster = node.Settings{ForgetAfter: 30 * time.Second}
		}
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c4").Close())
		ended := time.Now()
		wantError(t, f.Node("c1").Add(ctx, "world", "bob", "c4"), node.ErrServerGone)
		pause(ctx, 25*time.Second)
		wantError(t, f.Node("c1").Add(ctx, "world", "bob", "c4"), node.ErrServerGone)
		soon, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		f.Eventually(soon, func() error {
			if n := f.Node("c2").Records(); n != 3 {
				return fmt.Errorf("%d records", n)
			}
			return nil
		})
		t.Logf("forgotten after %v", time.Since(ended))
		wantError(t, f.Node("c1").Add(ctx, "world", "bob", "c4"), node.ErrUnknownServer)
		must(t, f.Restart("c4").Ready(ctx))
		must(t, f.Node("c1").Add(ctx, "world", "bob", "c4"))
	})
}

func TestLevel_OfANewClusterIsTheNewestWithinASecond(t *testing.T) {
	for name, cfgs := range map[string][]node.Config{"one": {server("c1", "connector")}, "three and a replica": four()} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, cfgs...)
				ready := time.Now()
				soon, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				f.Eventually(soon, func() error {
					for _, n := range f.Nodes() {
						if n.Level() != node.NewestLevel {
							return fmt.Errorf("%s shows level %d", n.Self().SID, n.Level())
						}
					}
					return nil
				})
				t.Logf("%v after all were ready", time.Since(ready))
			})
		})
	}
}
