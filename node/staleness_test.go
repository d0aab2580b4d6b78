package node_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestMaxStaleness_SteadyReadsNeitherFailNorWait(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		for _, n := range []*node.Node{f.Leader(ctx), f.Node("c4")} {
			for _, d := range []time.Duration{60 * time.Millisecond, time.Second, time.Minute} {
				members(t, ctx, n, "world", node.MaxStaleness(d)) // it may have to wait
				for range 1000 {
					pause(ctx, 5*time.Millisecond)
					began := time.Now()
					members(t, ctx, n, "world", node.MaxStaleness(d))
					if took := time.Since(began); took > 0 {
						t.Fatalf("a read of %v at %s waited %v", d, n.Self().SID, took)
					}
				}
			}
		}
	})
}

func TestMaxStaleness_ShowsWhatIsOlderThanThat(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(2 * time.Millisecond)
		defer f.SetLatency(0)
		const d = 50 * time.Millisecond
		from, to := f.Leader(ctx), f.Node("c4")
		var acked []time.Time // of uid number i
		young := 0
		for i := range 300 {
			if i == 150 {
				f.Isolate("c4")
			}
			began := time.Now()
			read, cancel := context.WithTimeout(ctx, time.Millisecond)
			list, err := to.MembersBySID(read, "world", "c1", node.MaxStaleness(d))
			cancel()
			for number, at := range acked {
				uid := string(rune('a' + number))
				switch shown := slices.Contains(list, uid); {
				case err == nil && !shown && began.Sub(at) >= d:
					t.Fatalf("%s was acknowledged %v before the read and is missing in %v", uid, began.Sub(at), list)
				case err == nil && shown && began.Sub(at) < d/2:
					young++
				}
			}
			if err != nil && !errors.Is(err, node.ErrStale) {
				t.Fatal(err)
			}
			if i > 250 && err == nil {
				t.Fatalf("read %v of a replica that is cut off", list)
			}
			if i%10 == 0 {
				must(t, from.Add(ctx, "world", string(rune('a'+len(acked))), "c1"))
				acked = append(acked, time.Now())
			}
			pause(ctx, time.Millisecond)
		}
		if young == 0 {
			t.Error("never showed anything young: the replica is not what was read")
		}
	})
}

// ageIn is the age that an ErrStale tells; 0 if it tells none.
func ageIn(err error) (age time.Duration) {
	if found := regexp.MustCompile(`([0-9][0-9.a-zµ]*) old`).FindStringSubmatch(err.Error()); found != nil {
		age, _ = time.ParseDuration(found[1])
	}
	return age
}

func TestMaxStaleness_OfAReplicaCutOffIsErrStale(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c1"))
		members(t, ctx, n, "world", node.MaxStaleness(time.Second))
		f.Isolate("c4")
		cut := time.Now()
		members(t, ctx, n, "world", node.MaxStaleness(time.Minute)) // young enough
		pause(ctx, 3*time.Second)
		for _, tt := range []struct{ d, want time.Duration }{
			{time.Millisecond, 100 * time.Millisecond},
			{300 * time.Millisecond, 300 * time.Millisecond},
		} {
			began := time.Now()
			_, err := n.Members(ctx, "world", node.MaxStaleness(tt.d))
			if took := time.Since(began); !errors.Is(err, node.ErrStale) || took < tt.want || took > tt.want+grace {
				t.Errorf("%v: %v after %v, want ErrStale after %v", tt.d, err, took, tt.want)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: the caller's time was not over", err)
			}
			// It was up to a second old when it was cut off.
			told, away := ageIn(err), time.Since(cut)
			if told < away-tt.want || told > away+time.Second {
				t.Errorf("%v, want it to tell the age after %v", err, away)
			}
		}
		err := timed(t, ctx, 50*time.Millisecond, func(ctx context.Context) error {
			_, err := n.Members(ctx, "world", node.MaxStaleness(time.Second))
			return err
		})
		wantOccasion(t, err, node.ErrStale, context.DeadlineExceeded)

		if age := n.Status().Age; age == nil || *age < time.Since(cut) || *age > time.Since(cut)+time.Second {
			t.Errorf("age %v, cut off for %v", age, time.Since(cut))
		}
		must(t, f.Node("c1").Add(ctx, "world", "bob", "c1"))
		f.Heal()
		f.Eventually(ctx, func() error {
			seq, err := n.Members(ctx, "world", node.MaxStaleness(100*time.Millisecond))
			if err == nil && len(slices.Collect(seq)) != 2 {
				t.Error("young, and without bob")
			}
			return err
		})
	})
}

func TestMaxStaleness_AsksNoMoreWhenNobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		for range 20 {
			members(t, ctx, n, "world", node.MaxStaleness(20*time.Millisecond))
			pause(ctx, 10*time.Millisecond)
		}
		pause(ctx, 100*time.Millisecond)
		index := f.Node("c1").Index()
		pause(ctx, 10*time.Second)
		if got := f.Node("c1").Index(); got != index {
			t.Errorf("the index went from %d to %d", index, got)
		}
	})
}

func TestMaxStaleness_RefreshEndsWithTheNode(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx := within(t)
	n, err := node.Start(ctx, server("c1", "connector"))
	must(t, err)
	must(t, n.Ready(ctx))
	members(t, ctx, n, "world", node.MaxStaleness(time.Hour)) // from now on it asks every half an hour
	must(t, n.Close())
	goleak.VerifyNone(t, before)
}

func TestStatus_AgeOfWhoPollsIsTrue(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		leader := f.Leader(ctx)
		for _, n := range []*node.Node{leader, f.Node("c4")} {
			n.Status()
			for range 20 {
				pause(ctx, 300*time.Millisecond)
				began := time.Now()
				s := n.Status()
				if s.Age == nil || *s.Age > 1300*time.Millisecond || time.Since(began) != 0 {
					t.Errorf("%s: age %v after %v", s.SID, s.Age, time.Since(began))
				}
			}
		}
		pause(ctx, 100*time.Millisecond) // what the last one asked for
		index := leader.Index()
		pause(ctx, 10*time.Second)
		if got := leader.Index(); got != index {
			t.Errorf("nobody polls, and the index went from %d to %d", index, got)
		}
	})
}

func TestStatus_AgeIsUnknownBeforeAnythingWasMeasured(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		cfg := server("c2", "connector")
		cfg.Join = []string{"10.0.0.9:7400"} // nobody is there
		n := f.Start(cfg)
		for range 10 {
			pause(ctx, time.Second)
			if s := n.Status(); s.Age != nil {
				t.Errorf("%v", *s.Age)
			}
		}
	})
}

func TestService_ReadsAsFreshAsAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(5 * time.Millisecond)
		c := client(t, ctx, f, "c4")
		must(t, f.Leader(ctx).Add(ctx, "world", "alice", "c1"))
		for _, r := range []*pb.MembersRequest{{Linearizable: true}, {MaxStalenessMs: 1}, {MaxStalenessMs: 1 << 62}} {
			r.Name = "world"
			if got, _ := listed(t, ctx, c, r); !slices.Equal(got, []string{"alice@c1"}) {
				t.Errorf("%v: %v", r, got)
			}
		}
		failed := func(d time.Duration, r *pb.MembersRequest) error {
			return timed(t, ctx, d, func(ctx context.Context) error {
				r.Name = "world"
				stream, err := c.Members(ctx, r)
				must(t, err)
				_, err = stream.Recv()
				return node.FromStatus(err)
			})
		}
		for _, r := range []*pb.MembersRequest{
			{MaxStalenessMs: -1}, {MaxStalenessMs: -1 << 63},
			{Linearizable: true, Stale: true}, {Linearizable: true, MaxStalenessMs: 1}, {MinIndex: 1, MaxStalenessMs: 1}, {MinIndex: 1, Linearizable: true},
		} {
			wantError(t, failed(time.Second, r), node.ErrInvalidArgument)
		}
		f.SetLatency(0)
		began := time.Now()
		s, err := c.Status(ctx, &pb.StatusRequest{})
		must(t, err)
		if s.AgeMs == nil || s.GetAgeMs() > 1000 || time.Since(began) > 100*time.Millisecond {
			t.Errorf("status: %v after %v", s, time.Since(began))
		}

		f.Isolate("c4")
		pause(ctx, 100*time.Millisecond) // its leader is still known
		wantOccasion(t, failed(300*time.Millisecond, &pb.MembersRequest{Linearizable: true}), node.ErrReplicaBehind, context.DeadlineExceeded)
		wantOccasion(t, failed(time.Second, &pb.MembersRequest{MaxStalenessMs: 20}), node.ErrStale)
		f.Eventually(ctx, func() error {
			if f.Node("c4").Status().LeaderNodeID != "" {
				return errors.New("a leader is known")
			}
			return nil
		})
		wantOccasion(t, failed(300*time.Millisecond, &pb.MembersRequest{Linearizable: true}), node.ErrNoLeader, context.DeadlineExceeded)
	})
}

func TestService_StatusWaitsBoundedForTheAge(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		c := client(t, ctx, f, "c4")
		leader := f.Leader(ctx).Self().SID // not after the pause: it asks for every status, and so for ages
		_, err := c.Status(ctx, &pb.StatusRequest{})
		must(t, err)
		pause(ctx, 2*time.Second)
		f.Cut(leader, "c4") // says nothing to it any more
		f.Cut("c4", leader)
		began := time.Now()
		s, err := c.Status(ctx, &pb.StatusRequest{})
		must(t, err)
		if took := time.Since(began); s.GetAgeMs() < 2000 || took > 300*time.Millisecond || took < 200*time.Millisecond {
			t.Errorf("age %d ms after %v", s.GetAgeMs(), took)
		}
	})
}
