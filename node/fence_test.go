package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// fencing is a cluster in which c4 tells when it was declared dead.
func fencing(t *testing.T, ctx context.Context) (*nodetest.Fleet, chan node.Fenced) {
	t.Helper()
	told := make(chan node.Fenced, 8)
	cfgs := four()
	cfgs[3].OnFenced = func(_ context.Context, f node.Fenced) { told <- f }
	return readyCluster(t, ctx, cfgs...), told
}

func wantFenced(t *testing.T, ctx context.Context, told <-chan node.Fenced, restored, missed int) node.Fenced {
	t.Helper()
	select {
	case f := <-told:
		if f.Restored != restored || f.Missed != missed || f.Old == 0 || f.Node == nil {
			t.Errorf("told %d restored, %d missed, epochs %x and %x; want %d and %d", f.Restored, f.Missed, f.Old, f.New, restored, missed)
		}
		return f
	case <-ctx.Done():
		t.Fatal("OnFenced was not called")
		return node.Fenced{}
	}
}

func TestNode_WhoseLifeWasDeclaredOverComesBackWithItsMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n := f.Node("c4")
		old := n.Self().Epoch
		must(t, n.Add(ctx, "world", "alice", "c4"))
		must(t, f.Leader(ctx).EndLife(ctx, "c4", old))
		if fenced := wantFenced(t, ctx, told, 1, 0); fenced.Old != old || fenced.New != n.Self().Epoch || fenced.New <= old {
			t.Errorf("told of epochs %x and %x; was %x, is %x", fenced.Old, fenced.New, old, n.Self().Epoch)
		}
		must(t, n.Add(ctx, "world", "bob", "c4"))
		must(t, f.Node("c1").Leave(ctx, "world", "alice", "c4"))
		everywhere(t, ctx, f, "world", "bob@c4")
		f.Eventually(ctx, func() error {
			if s := n.Status(); !s.Ready || s.Problem != "" || n.Err() != nil {
				return fmt.Errorf("status %+v, error %v", s, n.Err())
			}
			return nil
		})
	})
}

// While one server of the cluster has never answered, and so might be of an older
// version, nothing is parked: who was declared dead comes back without its members.
func TestNode_FencedAtALowLevelComesBackWithoutItsMembers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		told := make(chan node.Fenced, 8)
		cfgs := four()
		cfgs[3].OnFenced = func(_ context.Context, f node.Fenced) { told <- f }
		f := nodetest.Cluster(t, cfgs...)
		f.SetLatency(50 * time.Millisecond) // the leader is there before anybody has answered it
		for f.Node("c1").Status().LeaderNodeID == "" {
			pause(ctx, time.Millisecond)
		}
		silent := "c3"
		if f.Node("c1").Status().LeaderNodeID == f.Node("c3").Self().NodeID {
			silent = "c2"
		}
		f.Isolate(silent)
		n := f.Node("c4")
		must(t, n.Ready(ctx))
		must(t, n.Add(ctx, "world", "alice", "c4"))
		if got := n.Status().Level; got != 2 {
			t.Fatalf("level %d before %s has answered", got, silent)
		}
		must(t, f.Leader(ctx).EndLife(ctx, "c4", n.Self().Epoch))
		wantFenced(t, ctx, told, 0, -1)
		must(t, n.Add(ctx, "world", "bob", "c4"))
		f.SetLatency(0)
		f.Heal()
		everywhere(t, ctx, f, "world", "bob@c4")
		f.Eventually(ctx, func() error {
			if got := n.Status().Level; got != node.NewestLevel {
				return fmt.Errorf("level %d though all have answered", got)
			}
			return nil
		})
	})
}

// reaped cuts c4 off until the leader has ended its life, then runs what happens
// meanwhile, and heals.
func reaped(t *testing.T, ctx context.Context, f *nodetest.Fleet, meanwhile func()) {
	t.Helper()
	f.Isolate("c4")
	f.Eventually(ctx, func() error {
		if _, up := registered(f.Node("c1"), "c4"); up {
			return errors.New("c4 is still up")
		}
		return nil
	})
	meanwhile()
	f.Heal()
}

// Nobody whom others have removed while the life was over comes back with it.
func TestNode_ComesBackWithoutThoseRemovedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n := f.Node("c4")
		for _, name := range []string{"world", "guild", "team"} {
			must(t, n.Add(ctx, name, "alice", "c4"))
			must(t, n.Add(ctx, name, "bob", "c4"))
		}
		reaped(t, ctx, f, func() {
			c1 := f.Node("c1")
			if got := members(t, ctx, c1, "world"); len(got) != 0 {
				t.Errorf("members of a dead server: %v", got)
			}
			must(t, c1.Leave(ctx, "world", "alice", "c4"))
			must(t, c1.LeaveAll(ctx, "nobody", "c4"))
			must(t, c1.DestroyChannel(ctx, "guild"))
			wantError(t, c1.Add(ctx, "world", "carol", "c4"), node.ErrServerGone, node.ErrRejected)
			n.ToldOver(n.Self().Epoch) // it can't register, but it has heard
			f.Eventually(ctx, func() error {
				if w := probe(n, "/readyz"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "declared over") || n.Status().Ready {
					return fmt.Errorf("readyz of a fenced server: %d %s", w.Code, w.Body)
				}
				return nil
			})
		})
		wantFenced(t, ctx, told, 3, 3)
		if w := probe(n, "/readyz"); w.Code != http.StatusOK {
			t.Errorf("readyz after the return: %d %s", w.Code, w.Body)
		}
		everywhere(t, ctx, f, "world", "bob@c4")
		everywhere(t, ctx, f, "guild")
		everywhere(t, ctx, f, "team", "alice@c4", "bob@c4")
	})
}

func probe(n *node.Node, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	n.HTTPHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// Each way in which a batch can be under way when its origin is declared dead.
func TestNode_FencedWithABatchUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n, leader := f.Node("c4"), f.Leader(ctx).Self().SID
		must(t, n.Add(ctx, "world", "alice", "c4"))
		must(t, n.Add(ctx, "world", "bob", "c4"))

		// Applied, but the answer is lost: when the process is registered again its
		// caller hears the truth, and the new member is one of those who come back.
		f.Cut(leader, "c4")
		applied := make(chan error, 1)
		go func() { applied <- n.Add(ctx, "world", "carol", "c4") }()
		everywhereBut(t, ctx, f, "c4", "world", "alice@c4", "bob@c4", "carol@c4")
		reaped(t, ctx, f, func() {})
		must(t, <-applied)
		wantFenced(t, ctx, told, 3, 0)
		everywhere(t, ctx, f, "world", "alice@c4", "bob@c4", "carol@c4")

		// Never applied: an Add is refused for good. Whom a Leave was to remove does not
		// come back, which is an effect, so it can't be.
		f.Isolate("c4")
		var fates []chan error
		wants := [][]error{{node.ErrOutcomeUnknown}, {node.ErrFenced, node.ErrRejected}}
		for _, call := range []func() error{
			func() error { return n.Leave(ctx, "world", "alice", "c4") },
			func() error { return n.Add(ctx, "world", "dave", "c4") },
		} {
			fate := make(chan error, 1)
			fates = append(fates, fate)
			go func() { fate <- call() }()
			synctest.Wait()
		}
		reaped(t, ctx, f, func() {})
		for i, fate := range fates {
			if err := <-fate; err != nil { // those that were not in a batch yet go on in the new life
				wantError(t, err, wants[i]...)
			}
		}
		<-told
		want := []string{"bob@c4", "carol@c4"}
		if slices.Contains(members(t, ctx, n, "world"), "dave@c4") {
			want = append(want, "dave@c4")
		}
		everywhere(t, ctx, f, "world", want...)
	})
}

// everywhereBut is everywhere, without a server that is cut off.
func everywhereBut(t *testing.T, ctx context.Context, f *nodetest.Fleet, cut, name string, want ...string) {
	t.Helper()
	slices.Sort(want)
	f.Eventually(ctx, func() error {
		for _, n := range f.Nodes() {
			if n.Self().SID == cut {
				continue
			}
			if got := members(t, ctx, n, name, node.Stale()); !slices.Equal(got, want) {
				return fmt.Errorf("%s shows %v in %s, want %v", n.Self().SID, got, name, want)
			}
		}
		return nil
	})
}

// A connection that ended while its server was declared dead leaves no ghost.
func TestSession_ClosedWhileItsServerIsDeclaredDead(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n := f.Node("c4")
		alice, bob := n.Session("alice"), n.Session("bob")
		must(t, alice.Add(ctx, "world"))
		must(t, bob.Add(ctx, "world"))
		reaped(t, ctx, f, func() { must(t, alice.Close()) })
		// Her goodbye was in a batch of the old life, or follows at once in the new one.
		if got := <-told; got.Restored+got.Missed != 2 || got.Restored == 0 {
			t.Errorf("told %d restored, %d missed", got.Restored, got.Missed)
		}
		everywhere(t, ctx, f, "world", "bob@c4")
	})
}

// Two live processes with one sid: when the second has it, since the first was
// silent, the first does not fight.
func TestNode_WhoseSidWasTakenWhileItWasSilentStopsActing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		first := f.Node("c4")
		must(t, first.Add(ctx, "world", "alice", "c4"))
		var second *node.Node
		reaped(t, ctx, f, func() {
			second = f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
			must(t, second.Ready(ctx))
			must(t, second.Add(ctx, "world", "bob", "c4"))
		})
		select {
		case <-first.Done():
		case <-ctx.Done():
			t.Fatal("the first one goes on")
		}
		if err := first.Err(); !errors.Is(err, node.ErrFenced) || !errors.Is(err, node.ErrRefused) || first.Status().Ready || first.Status().Problem == "" {
			t.Errorf("error %v, status %+v", err, first.Status())
		}
		if fenced := wantFenced(t, ctx, told, 0, -1); fenced.New != 0 {
			t.Errorf("told of a new epoch %x", fenced.New)
		}
		wantError(t, first.Add(ctx, "world", "carol", "c4"), node.ErrFenced, node.ErrRejected)
		pause(ctx, 30*time.Second)
		everywhere(t, ctx, f, "world", "bob@c4")
		must(t, first.Close())
		everywhere(t, ctx, f, "world", "bob@c4")
	})
}

func TestAttach_StreamEndsWhenItsLifeIsDeclaredOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		must(t, f.Leader(ctx).EndLife(ctx, "remote-1", a.life.GetEpoch()))
		_, err := a.stream.Recv()
		wantError(t, node.FromStatus(err), node.ErrFenced, node.ErrRejected)
		mustAttach(t, ctx, f, "c4", "remote-1")
	})
}

// A process whose own replica stands still hears of the end of its life from the
// leader, who calls the roll of ended lives too.
func TestNode_HearsFromTheLeaderThatItsLifeIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		n.Halt()
		must(t, f.Leader(ctx).EndLife(ctx, "c4", n.Self().Epoch))
		wantFenced(t, ctx, told, 1, 0)
		everywhereBut(t, ctx, f, "c4", "world", "alice@c4")
	})
}

// Old news harm nobody: who registers again because of them finds the life as it is.
func TestNode_ThatIsToldOfItsEndByMistakeGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		epoch := n.Self().Epoch
		n.ToldOver(epoch)
		for i := range 20 {
			must(t, n.Add(ctx, "guild", fmt.Sprint("u", i), "c4"))
		}
		settle(ctx)
		if n.Self().Epoch != epoch || !n.Status().Ready || len(told) > 0 {
			t.Errorf("epoch %x, was %x; status %+v, told %d times", n.Self().Epoch, epoch, n.Status(), len(told))
		}
		everywhere(t, ctx, f, "world", "alice@c4")
	})
}

// The goodbye is no fence.
func TestClose_TellsNobodyThatTheLifeWasFenced(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		must(t, f.Node("c4").Close())
		synctest.Wait()
		select {
		case got := <-told:
			t.Errorf("Close called OnFenced: old %x, new %x, missed %d", got.Old, got.New, got.Missed)
		default:
		}
	})
}

// Nobody knows its life any more, so nobody calls it: its replica has to tell.
func TestNode_ForgottenWhileItWasCutOffComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		for i := range cfgs {
			cfgs[i].Cluster = node.Settings{ForgetAfter: 30 * time.Second}
		}
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c4").Add(ctx, "world", "alice", "c4"))
		f.Isolate("c4")
		f.Eventually(ctx, func() error {
			if got := f.Node("c1").Records(); got != 3 {
				return fmt.Errorf("%d records", got)
			}
			return nil
		})
		f.Heal()
		pause(ctx, time.Minute)
		if _, ok := registered(f.Node("c1"), "c4"); !ok {
			t.Errorf("a minute after healing c4 is not registered; it says %+v", f.Node("c4").Status())
		}
	})
}

// The pusher's replica shows the new life before its own process has the answer.
func TestPush_ToALifeThatHasJustComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[3].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return nil, nil }
		f := readyCluster(t, ctx, cfgs...)
		l := f.Leader(ctx)
		old := f.Node("c4").Self().Epoch
		must(t, l.Add(ctx, "world", "alice", "c4"))
		f.SetLatency(20 * time.Millisecond)
		must(t, l.EndLife(ctx, "c4", old))
		for {
			if s, ok := registered(l, "c4"); ok && s.Epoch > old {
				break
			}
			pause(ctx, time.Millisecond)
			synctest.Wait()
		}
		f.SetLatency(time.Millisecond)
		res, err := l.PushMessage(ctx, "connector", "r", []byte("x"), "world", node.PushOptions{})
		if err != nil || !res.OK() {
			t.Errorf("%v: %+v", err, res)
		}
	})
}
