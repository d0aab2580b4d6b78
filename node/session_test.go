package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// wantMembers checks a channel as n shows it. The outbox is in order, so a write
// of n that was acknowledged has every goodbye before it in the state.
func wantMembers(t *testing.T, ctx context.Context, n *node.Node, name string, want ...string) {
	t.Helper()
	must(t, n.Leave(ctx, "settle", "nobody", n.Self().SID))
	if got := members(t, ctx, n, name); !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s has %v, want %v", name, got, want)
	}
}

func TestSession_CountsAndWritesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		start := time.Now()
		for _, n := range f.Nodes() {
			for want := uint64(1); want <= 3; want++ {
				if got := n.Session("alice").Token(); got != want {
					t.Errorf("%s: token %d, want %d", n.Self().SID, got, want)
				}
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestSession_CloseLeavesAllChannelsOfItsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for _, sid := range []string{f.Leader(ctx).Self().SID, "c4"} {
			n, other := f.Node(sid), follower(t, ctx, f, sid).Self().SID
			must(t, n.DestroyAllChannels(ctx))
			s := n.Session("alice")
			must(t, s.Add(ctx, "world"))
			must(t, s.Add(ctx, "team"))
			must(t, n.Session("bob").Add(ctx, "world"))
			must(t, f.Node("c1").Add(ctx, "guild", "alice", sid))   // by a backend, without a session
			must(t, f.Node("c1").Add(ctx, "world", "alice", other)) // connected there, too
			op := node.Op{Kind: node.OpAdd, Name: "duel", UID: "alice", SID: sid, Session: s.Token(), Epoch: n.Self().Epoch}
			_, err := f.Node("c2").Apply(ctx, op) // by a backend that was told
			must(t, err)
			must(t, s.Close())
			must(t, s.Close())
			wantMembers(t, ctx, n, "world", sorted(t)([]string{"alice@" + other, "bob@" + sid}, nil)...)
			for _, name := range []string{"team", "guild", "duel"} {
				wantMembers(t, ctx, n, name)
			}
			wantError(t, s.Add(ctx, "world"), node.ErrNotSent, node.ErrClosed)
			wantError(t, s.Leave(ctx, "world"), node.ErrNotSent, node.ErrClosed)
			must(t, n.Session("alice").Add(ctx, "world")) // the next connection
		}
	})
}

func TestSession_LeavesANewerOneAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		alice := "alice@" + n.Self().SID
		older, newer := n.Session("alice"), n.Session("alice")
		must(t, older.Add(ctx, "world"))
		must(t, older.Add(ctx, "team"))
		must(t, newer.Add(ctx, "world"))
		must(t, newer.Add(ctx, "guild"))
		must(t, older.Add(ctx, "guild")) // does not take it over
		must(t, older.Leave(ctx, "world"))
		must(t, older.Leave(ctx, "guild"))
		wantMembers(t, ctx, n, "world", alice)
		wantMembers(t, ctx, n, "guild", alice)
		must(t, older.Close())
		wantMembers(t, ctx, n, "world", alice)
		wantMembers(t, ctx, n, "guild", alice)
		wantMembers(t, ctx, n, "team")
		must(t, newer.Leave(ctx, "world"))
		wantMembers(t, ctx, n, "world")
		must(t, newer.Close())
		wantMembers(t, ctx, n, "guild")
	})
}

// cutOff isolates a follower until it knows no leader.
func cutOff(t *testing.T, ctx context.Context, f interface {
	Isolate(...string)
	Eventually(context.Context, func() error)
}, n *node.Node) {
	t.Helper()
	f.Isolate(n.Self().SID)
	f.Eventually(ctx, func() error {
		if n.Status().LeaderNodeID != "" {
			return errors.New("a leader is known")
		}
		return nil
	})
}

func TestSession_CloseIsKeptUntilItCanBeCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		s := n.Session("alice")
		must(t, s.Add(ctx, "world"))
		everywhere(t, ctx, f, "world", "alice@"+n.Self().SID)
		cutOff(t, ctx, f, n)
		start := time.Now()
		must(t, s.Close())
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		wantError(t, s.Add(ctx, "world"), node.ErrNotSent, node.ErrClosed)
		time.AfterFunc(time.Minute, f.Heal)
		everywhere(t, ctx, f, "world")
	})
}

// Whatever becomes of an Add that was under way when the player left, it leaves no ghost.
func TestSession_AddUnderWayAtCloseLeavesNoGhost(t *testing.T) {
	for _, when := range []string{"before it was sent", "while its answer was lost", "after its caller had gone"} {
		t.Run(when, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				f := readyCluster(t, ctx, three()...)
				n := follower(t, ctx, f)
				s := n.Session("alice")
				limit := time.Minute
				switch when {
				case "before it was sent":
					cutOff(t, ctx, f, n)
				case "while its answer was lost":
					f.Cut(f.Leader(ctx).Self().SID, n.Self().SID)
				default:
					f.Cut(f.Leader(ctx).Self().SID, n.Self().SID)
					limit = 10 * time.Millisecond
				}
				done := make(chan error, 1)
				go func() {
					short, cancel := context.WithTimeout(ctx, limit)
					defer cancel()
					done <- s.Add(short, "world")
				}()
				after := make(chan error, 1)
				time.AfterFunc(50*time.Millisecond, func() { after <- s.Close() })
				must(t, <-after)
				time.AfterFunc(3*time.Second, f.Heal)
				if err := <-done; err != nil {
					class(t, err)
				}
				f.Eventually(ctx, func() error { return n.Leave(ctx, "settle", "nobody", "c1") })
				everywhere(t, ctx, f, "world")
			})
		})
	}
}

func TestSession_ClosedBeforeReadyTakesItsPlayerAlongAllTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		f.SetLatency(100 * time.Millisecond) // so that there is a while between registered and ready
		n := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
		s := n.Session("alice")
		own, added := make(chan error, 1), make(chan error, 1)
		go func() { own <- s.Add(ctx, "world") }()                  // is not begun when its session is closed
		go func() { added <- n.Session("bob").Add(ctx, "world") }() // waits for it
		f.Eventually(ctx, func() error {
			if len(leader.Servers()) < 4 {
				return errors.New("c4 is not registered")
			}
			return nil
		})
		f.Cut(leader.Self().SID, "c4")
		must(t, leader.Add(ctx, "world", "alice", "c4"))
		if n.Self().Epoch != 0 {
			t.Fatal("c4 knows already that it is registered: nothing is tested")
		}
		must(t, s.Close())
		wantError(t, s.Add(ctx, "world"), node.ErrNotSent, node.ErrClosed)
		f.Heal()
		wantError(t, <-own, node.ErrNotSent, node.ErrClosed)
		must(t, <-added)
		everywhere(t, ctx, f, "world", "bob@c4")
	})
}

func TestSession_OfAClosedNode(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		s := n.Session("alice")
		must(t, s.Add(ctx, "world"))
		must(t, n.Close())
		wantError(t, s.Add(ctx, "team"), node.ErrNotSent, node.ErrClosed)
		must(t, s.Close())
		must(t, n.Session("bob").Close())
		everywhere(t, ctx, f, "world")
	})
}

func TestSession_ChecksItsArguments(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := follower(t, ctx, f)
		cutOff(t, ctx, f, n) // what is sent takes time
		start := time.Now()
		for what, bad := range badTexts(255) {
			s := n.Session(bad)
			for i, err := range []error{s.Add(ctx, "world"), s.Leave(ctx, "world"), s.Close(), s.Close()} {
				wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
				if !strings.Contains(fmt.Sprint(err), "uid") {
					t.Errorf("%s, call %d: %v does not name the uid", what, i, err)
				}
			}
			wantError(t, n.Session("alice").Add(ctx, bad), node.ErrInvalidArgument, node.ErrRejected)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		wantError(t, n.Session("alice").Add(over, "world"), node.ErrNotSent, context.Canceled)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestSession_OutlivesALifeThatIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		s := n.Session("alice")
		must(t, s.Add(ctx, "world"))
		must(t, f.Leader(ctx).EndLife(ctx, "c4", n.Self().Epoch))
		// The process is registered again, and its session is the same. What was under way
		// in the old life is refused for good.
		if err := s.Add(ctx, "team"); err != nil {
			wantError(t, err, node.ErrFenced, node.ErrRejected)
			must(t, s.Add(ctx, "team"))
		}
		everywhere(t, ctx, f, "world", "alice@c4")
		must(t, s.Close())
		everywhere(t, ctx, f, "world")
		everywhere(t, ctx, f, "team")
	})
}
