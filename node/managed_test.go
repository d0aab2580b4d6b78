package node_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/internal/mapstore"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// userStore is a user's own database, which all servers share.
type userStore struct {
	mapstore.Store

	mu    sync.Mutex // guards what follows
	fault func(ctx context.Context, by, method, sid string) error
	calls []string // method by sid of its server, or method and sid if it is about one
}

// before is set for what happens to each call before it has its effect; nil: nothing.
func (s *userStore) before(f func(ctx context.Context, by, method, sid string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// count is how often a call came.
func (s *userStore) count(call string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == call {
			n++
		}
	}
	return n
}

// in is who is in a channel on one server, sorted.
func (s *userStore) in(name, sid string) []string {
	uids, _ := s.Store.MembersBySID(context.Background(), name, sid)
	slices.Sort(uids)
	return uids
}

// manager is one server's ChannelManager over a userStore.
type manager struct {
	*userStore
	by string
}

func (m manager) came(ctx context.Context, method, sid string) error {
	m.mu.Lock()
	m.calls = append(m.calls, method+" by "+m.by)
	if sid != "" {
		m.calls = append(m.calls, method+" "+sid)
	}
	fault := m.fault
	m.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, m.by, method, sid)
}

func (m manager) Start(ctx context.Context) error { return m.came(ctx, "Start", "") }
func (m manager) Stop(ctx context.Context) error  { return m.came(ctx, "Stop", "") }

func (m manager) Clean(ctx context.Context) error {
	if err := m.came(ctx, "Clean", ""); err != nil {
		return err
	}
	return m.Store.Clean(ctx)
}

func (m manager) Add(ctx context.Context, name, uid, sid string) error {
	if err := m.came(ctx, "Add", sid); err != nil {
		return err
	}
	return m.Store.Add(ctx, name, uid, sid)
}

func (m manager) Leave(ctx context.Context, name, uid, sid string) error {
	if err := m.came(ctx, "Leave", sid); err != nil {
		return err
	}
	return m.Store.Leave(ctx, name, uid, sid)
}

func (m manager) MembersBySID(ctx context.Context, name, sid string) ([]string, error) {
	if err := m.came(ctx, "MembersBySID", sid); err != nil {
		return nil, err
	}
	return m.Store.MembersBySID(ctx, name, sid)
}

func (m manager) DestroyChannel(ctx context.Context, name string) error {
	if err := m.came(ctx, "DestroyChannel", ""); err != nil {
		return err
	}
	return m.Store.DestroyChannel(ctx, name)
}

func (m manager) PurgeSID(ctx context.Context, sid string) error {
	if err := m.came(ctx, "PurgeSID", sid); err != nil {
		return err
	}
	return m.Store.PurgeSID(ctx, sid)
}

// over gives each server a manager over s.
func over(s *userStore, cfgs ...node.Config) []node.Config {
	for i := range cfgs {
		cfgs[i].ChannelManager = manager{s, cfgs[i].SID}
	}
	return cfgs
}

// managedServers are two connectors and a backend.
func managedServers(s *userStore) []node.Config {
	return over(s, server("c1", "connector"), server("c2", "connector"), server("b1", "chat"))
}

// wantNames compares a list, in whatever order.
func wantNames(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	got = slices.Sorted(slices.Values(got))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestChannelManager_HoldsTheChannels(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		b1, c1 := f.Node("b1"), f.Node("c1")
		must(t, b1.Add(ctx, "guild", "alice", "c1"))
		must(t, b1.Add(ctx, "guild", "alice", "c1"))
		must(t, c1.Add(ctx, "guild", "alice", "c2"))
		must(t, c1.Add(ctx, "guild", "bob", "c2"))
		must(t, c1.Add(ctx, "guild", "carol", "b1"))
		must(t, c1.Add(ctx, "world", "alice", "c1"))
		must(t, c1.Leave(ctx, "guild", "nobody", "c1"))
		for _, n := range f.Nodes() {
			got, err := n.MembersBySID(ctx, "guild", "c2")
			must(t, err)
			wantNames(t, "on c2", got, "alice", "bob")
			got, err = n.MembersByChannelName(ctx, "connector", "guild")
			must(t, err)
			wantNames(t, "on connectors", got, "alice", "bob")
			for _, none := range [][2]string{{"nowhere", "c1"}, {"guild", "c9"}} {
				got, err = n.MembersBySID(ctx, none[0], none[1])
				must(t, err)
				wantNames(t, "nobody", got)
			}
			got, err = n.MembersByChannelName(ctx, "no-such-type", "guild")
			must(t, err)
			wantNames(t, "on a type of nobody", got)
		}
		must(t, b1.Leave(ctx, "guild", "alice", "c1"))
		wantNames(t, "after leave", s.in("guild", "c1"))
		must(t, c1.DestroyChannel(ctx, "guild"))
		wantNames(t, "destroyed", slices.Concat(s.in("guild", "c2"), s.in("guild", "b1")))
		wantNames(t, "not destroyed", s.in("world", "c1"), "alice")
		must(t, c1.DestroyAllChannels(ctx))
		wantNames(t, "clean", s.in("world", "c1"))

		// Arguments are checked before anything is asked.
		before := s.count("Add by c1")
		wantError(t, c1.Add(ctx, "", "alice", "c1"), node.ErrInvalidArgument)
		_, err := c1.MembersBySID(ctx, "guild", "\xff")
		wantError(t, err, node.ErrInvalidArgument)
		if s.count("Add by c1") != before {
			t.Error("a bad argument reached the manager")
		}
		for _, sid := range []string{"c1", "c2", "b1"} {
			if got := s.count("Start by " + sid); got != 1 {
				t.Errorf("%s: Start %d times", sid, got)
			}
		}
	})
}

func TestChannelManager_RestIsUnsupported(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		n := f.Node("c1")
		must(t, n.Add(ctx, "guild", "alice", "c1"))
		session := n.Session("alice")
		c := client(t, ctx, f, "b1")
		wire := func(_ any, err error) error { return node.FromStatus(err) }
		membersCall := func(r *pb.MembersRequest) error {
			stream, err := c.Members(ctx, r)
			must(t, err)
			return wire(stream.Recv())
		}
		where := func() error {
			stream, err := c.Where(ctx, &pb.WhereRequest{Uid: "alice"})
			must(t, err)
			return wire(stream.Recv())
		}
		only := func(_ any, err error) error { return err }
		calls := map[string]error{
			"Apply":               only(n.Apply(ctx, node.AddOps("guild", "c1", "alice")...)),
			"empty Apply":         only(n.Apply(ctx)),
			"LeaveAll":            n.LeaveAll(ctx, "alice", "c1"),
			"Purge":               n.Purge(ctx, "c9"),
			"Session.Add":         session.Add(ctx, "guild"),
			"Session.Leave":       session.Leave(ctx, "guild"),
			"Session.Close":       session.Close(),
			"second Close":        session.Close(),
			"Count":               only(n.Count(ctx, "guild")),
			"CountBySID":          only(n.CountBySID(ctx, "guild", "c1")),
			"Contains":            only(n.Contains(ctx, "guild", "alice")),
			"ChannelsOf":          only(n.ChannelsOf(ctx, "alice")),
			"SIDsOf":              only(n.SIDsOf(ctx, "alice")),
			"Channels":            only(n.Channels(ctx, "", "", 10)),
			"Members":             only(n.Members(ctx, "guild")),
			"Select":              only(n.Select(ctx, node.Channel("guild"))),
			"push to two":         only(n.Push(ctx, node.Push{SType: "connector", Route: "r", To: node.Channel("guild", "world")})),
			"push to a player":    only(n.Push(ctx, node.Push{SType: "connector", Route: "r", To: node.UIDs("alice")})),
			"push to everybody":   only(n.Push(ctx, node.Push{SType: "connector", Route: "r", To: node.Everybody()})),
			"push that prunes":    only(n.PushMessage(ctx, "connector", "r", nil, "guild", node.PushOptions{PruneOffline: true})),
			"stale":               only(n.MembersBySID(ctx, "guild", "c1", node.Stale())),
			"at least":            only(n.MembersBySID(ctx, "guild", "c1", node.AtLeast(1))),
			"linearizable":        only(n.MembersByChannelName(ctx, "connector", "guild", node.Linearizable())),
			"max staleness":       only(n.MembersByChannelName(ctx, "connector", "guild", node.MaxStaleness(time.Second))),
			"service: apply":      wire(c.Apply(ctx, &pb.ApplyRequest{Ops: []*pb.Op{pbAdd("guild", "alice", "c1")}})),
			"service: leave all":  wire(c.LeaveAll(ctx, &pb.LeaveAllRequest{Uid: "alice", Sid: "c1"})),
			"service: epoch":      wire(c.Add(ctx, &pb.AddRequest{Name: "guild", Uid: "bob", Sid: "c1", Epoch: 1})),
			"service: count":      wire(c.Count(ctx, &pb.CountRequest{Name: "guild"})),
			"service: channels":   wire(c.Channels(ctx, &pb.ChannelsRequest{Limit: 10})),
			"service: explain":    wire(c.Explain(ctx, &pb.ExplainRequest{Name: "guild", Uid: "alice"})),
			"service: where":      where(),
			"service: all types":  membersCall(&pb.MembersRequest{Name: "guild"}),
			"service: stale":      membersCall(&pb.MembersRequest{Name: "guild", Sid: "c1", Stale: true}),
			"service: at least 1": membersCall(&pb.MembersRequest{Name: "guild", Stype: "connector", MinIndex: 1}),
		}
		for name, err := range calls {
			if !errors.Is(err, node.ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			} else {
				class(t, err)
			}
		}
		wantNames(t, "untouched", s.in("guild", "c1"), "alice")
		if _, err := n.MembersBySID(ctx, "guild", "c1"); err != nil {
			t.Error(err)
		}
	})
}

func TestChannelManager_IsWhatTheServiceAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		c := client(t, ctx, f, "b1")
		for _, m := range [][2]string{{"alice", "c1"}, {"bob", "c2"}, {"alice", "c2"}} {
			_, err := c.Add(ctx, &pb.AddRequest{Name: "guild", Uid: m[0], Sid: m[1]})
			must(t, err)
		}
		got, _ := listed(t, ctx, c, &pb.MembersRequest{Name: "guild", Sid: "c2"})
		wantNames(t, "on c2", got, "alice@c2", "bob@c2")
		got, _ = listed(t, ctx, c, &pb.MembersRequest{Name: "guild", Stype: "connector"})
		wantNames(t, "on connectors", got, "alice@", "bob@")
		_, err := c.Leave(ctx, &pb.LeaveRequest{Name: "guild", Uid: "alice", Sid: "c1"})
		must(t, err)
		wantNames(t, "after leave", s.in("guild", "c1"))
		_, err = c.Destroy(ctx, &pb.DestroyRequest{Name: "guild"})
		must(t, err)
		wantNames(t, "destroyed", s.in("guild", "c2"))
		must(t, s.Store.Add(ctx, "world", "alice", "c1"))
		_, err = c.DestroyAll(ctx, &pb.DestroyAllRequest{})
		must(t, err)
		wantNames(t, "clean", s.in("world", "c1"))
		// Settings are not of channels.
		_, err = c.GetSettings(ctx, &pb.GetSettingsRequest{})
		must(t, err)
		// An error keeps its identity over the wire, whatever its text.
		s.before(func(context.Context, string, string, string) error { return fmt.Errorf("full\xff: %w", node.ErrLimit) })
		_, err = c.Add(ctx, &pb.AddRequest{Name: "guild", Uid: "alice", Sid: "c1"})
		wantError(t, node.FromStatus(err), node.ErrRejected, node.ErrLimit)
		s.before(func(ctx context.Context, _, _, _ string) error { <-ctx.Done(); return ctx.Err() })
		err = timed(t, ctx, 300*time.Millisecond, func(ctx context.Context) error {
			_, err := c.Add(ctx, &pb.AddRequest{Name: "guild", Uid: "alice", Sid: "c1"})
			return node.FromStatus(err)
		})
		wantError(t, err, node.ErrOutcomeUnknown, context.DeadlineExceeded)
	})
}

var errStore = errors.New("no route to the store")

// errDoubtful matches two classes at once.
var errDoubtful = errors.Join(node.ErrRejected, node.ErrNotSent)

func TestChannelManager_ErrorsHaveOneClass(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		n := f.Node("c1")
		writes := map[string]func(context.Context) error{
			"add":     func(ctx context.Context) error { return n.Add(ctx, "guild", "alice", "c1") },
			"leave":   func(ctx context.Context) error { return n.Leave(ctx, "guild", "alice", "c1") },
			"destroy": func(ctx context.Context) error { return n.DestroyChannel(ctx, "guild") },
			"clean":   n.DestroyAllChannels,
		}
		reads := map[string]func(context.Context) error{
			"by sid": func(ctx context.Context) error { _, err := n.MembersBySID(ctx, "guild", "c1"); return err },
			"by type": func(ctx context.Context) error {
				_, err := n.MembersByChannelName(ctx, "connector", "guild")
				return err
			},
		}
		faults := []struct {
			what  string
			fault func() error
			want  []error
		}{
			{"foreign", func() error { return fmt.Errorf("redis: %w", errStore) }, []error{node.ErrOutcomeUnknown, errStore}},
			{"refused", func() error { return fmt.Errorf("full: %w", node.ErrLimit) }, []error{node.ErrRejected, node.ErrLimit}},
			{"not sent", func() error { return fmt.Errorf("%w: %w", node.ErrNotSent, errStore) }, []error{node.ErrNotSent, errStore}},
			{"unknown", func() error { return fmt.Errorf("%w: %w", node.ErrOutcomeUnknown, errStore) }, []error{node.ErrOutcomeUnknown, errStore}},
			{"of two classes", func() error { return errDoubtful }, []error{node.ErrOutcomeUnknown}},
			{"panic", func() error { panic("store") }, []error{node.ErrOutcomeUnknown}},
			{"end of its goroutine", func() error { runtime.Goexit(); return nil }, []error{node.ErrOutcomeUnknown}},
		}
		for _, c := range faults {
			s.before(func(context.Context, string, string, string) error { return c.fault() })
			for name, call := range writes {
				err := call(ctx)
				t.Logf("%s of %s: %v", c.what, name, err)
				wantError(t, err, c.want...)
			}
			for name, call := range reads {
				if call(ctx) == nil {
					t.Errorf("%s, %s: no error", c.what, name)
				}
			}
		}
		// A context that ended before reaches nobody.
		s.before(nil)
		before := s.count("Add by c1")
		over, cancel := context.WithCancel(ctx)
		cancel()
		for _, call := range writes {
			wantError(t, call(over), node.ErrNotSent, context.Canceled)
		}
		for _, call := range reads {
			if err := call(over); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if s.count("Add by c1") != before {
			t.Error("a call without time reached the manager")
		}
	})
}

// It does not matter whether the manager heeds its context.
func TestChannelManager_ThatBlocksHoldsUpNobody(t *testing.T) {
	for name, heeds := range map[string]bool{"heeds its context": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, ctx context.Context) {
				s := new(userStore)
				cfgs := managedServers(s)
				for i := range cfgs {
					cfgs[i].Timeout = 3 * time.Second
				}
				f := readyCluster(t, ctx, cfgs...)
				n := f.Node("c1")
				release := make(chan struct{})
				defer close(release)
				s.before(func(ctx context.Context, _, method, _ string) error {
					if method == "Stop" {
						return nil
					}
					if !heeds {
						<-release
						return nil
					}
					select {
					case <-release:
					case <-ctx.Done():
					}
					return ctx.Err()
				})
				calls := map[string]func(context.Context) error{
					"add":    func(ctx context.Context) error { return n.Add(ctx, "guild", "alice", "c1") },
					"clean":  n.DestroyAllChannels,
					"by sid": func(ctx context.Context) error { _, err := n.MembersBySID(ctx, "guild", "c1"); return err },
					"by type": func(ctx context.Context) error {
						_, err := n.MembersByChannelName(ctx, "connector", "guild")
						return err
					},
				}
				for name, call := range calls {
					err := timed(t, ctx, time.Second, call)
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v", name, err)
					}
					start := time.Now()
					err = call(context.WithoutCancel(ctx))
					if took := time.Since(start); took < 3*time.Second || took > 3*time.Second+grace || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s without a deadline: %v after %v", name, err, took)
					}
				}
				wantError(t, timed(t, ctx, time.Second, calls["add"]), node.ErrOutcomeUnknown, context.DeadlineExceeded)

				// Close answers those that wait, and blames no context of theirs.
				waiting := make(chan error, 1)
				go func() { waiting <- n.Add(ctx, "guild", "alice", "c1") }()
				synctest.Wait()
				start := time.Now()
				_ = n.Close()
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("Close took %v", took)
				}
				err := <-waiting
				wantError(t, err, node.ErrOutcomeUnknown, node.ErrClosed)
				if errors.Is(err, context.Canceled) {
					t.Errorf("%v blames the caller's context", err)
				}
				if got := s.count("Stop by c1"); got != 1 {
					t.Errorf("Stop %d times", got)
				}
				wantError(t, n.Add(ctx, "guild", "alice", "c1"), node.ErrNotSent, node.ErrClosed)
			})
		})
	}
}

func TestChannelManager_ThatNeverReturnsGetsNoMoreCallsThanItMay(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, over(s, server("c1", "connector"))...)
		n := f.Node("c1")
		release := make(chan struct{})
		s.before(func(context.Context, string, string, string) error { <-release; return nil })
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range node.MaxManagerStuck {
			wg.Go(func() { _ = n.Add(short, "guild", "alice", "c1") })
		}
		wg.Wait()
		wantError(t, n.Add(ctx, "guild", "alice", "c1"), node.ErrNotSent, node.ErrOverloaded)
		if _, err := n.MembersBySID(ctx, "guild", "c1"); !errors.Is(err, node.ErrOverloaded) {
			t.Error(err)
		}
		s.before(nil)
		close(release)
		synctest.Wait()
		must(t, n.Add(ctx, "guild", "alice", "c1"))
	})
}

func TestChannelManager_AnswersAreChecked(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		must(t, s.Store.Add(ctx, "guild", "alice", "c1"))
		must(t, s.Store.Add(ctx, "guild", "\xff", "c2"))
		n := f.Node("b1")
		if _, err := n.MembersBySID(ctx, "guild", "c2"); err == nil || errors.Is(err, node.ErrInvalidArgument) {
			t.Error(err)
		}
		if _, err := n.MembersByChannelName(ctx, "connector", "guild"); err == nil {
			t.Error("no error")
		}
		got, err := n.MembersBySID(ctx, "guild", "c1")
		must(t, err)
		wantNames(t, "on c1", got, "alice")
	})
}

// ---- Start and Stop

func TestStart_FailsWithItsChannelManager(t *testing.T) {
	for name, c := range map[string]struct {
		fault func() error
		want  error
	}{
		"error": {func() error { return errStore }, errStore},
		"panic": {func() error { panic("store") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(userStore)
			s.before(func(_ context.Context, _, method, _ string) error {
				if method == "Start" {
					return c.fault()
				}
				return nil
			})
			_, err := node.Start(within(t), over(s, server("c1", "connector"))[0])
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("start: %v", err)
			}
			if s.count("Start by c1") != 1 || s.count("Stop by c1") != 0 {
				t.Errorf("calls: %q", s.calls)
			}
		})
	}
}

// Whoever started, and nobody waits for it any more, is stopped.
func TestStart_GivesUpOnAChannelManagerThatBlocks(t *testing.T) {
	s := new(userStore)
	release, stopped := make(chan struct{}), make(chan struct{})
	s.before(func(_ context.Context, _, method, _ string) error {
		switch method {
		case "Start":
			<-release
		case "Stop":
			close(stopped)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if _, err := node.Start(ctx, over(s, server("c1", "connector"))[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start: %v", err)
	}
	close(release)
	select {
	case <-stopped:
	case <-within(t).Done():
		t.Error("what started late was not stopped")
	}
}

func TestClose_StopsTheChannelManagerLast(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		n := f.Node("c1")
		for _, stop := range []error{nil, errStore} {
			s.before(func(_ context.Context, by, method, _ string) error {
				if by == "c1" && method == "Stop" {
					return stop
				}
				return nil
			})
			if err := n.Close(); !errors.Is(err, stop) {
				t.Errorf("close: %v, want %v", err, stop)
			}
			settle(ctx)
			s.mu.Lock()
			var own []string
			for _, c := range s.calls {
				if len(c) > 6 && c[len(c)-6:] == " by c1" {
					own = append(own, c)
				}
			}
			s.calls = nil
			s.mu.Unlock()
			if own[0] != "Start by c1" || own[len(own)-1] != "Stop by c1" {
				t.Errorf("calls: %q", own)
			}
			n = f.Restart("c1")
			must(t, n.Ready(ctx))
		}
		// One that does not return is reported, and Close does.
		release := make(chan struct{})
		s.before(func(context.Context, string, string, string) error { <-release; return nil })
		start := time.Now()
		if err := n.Close(); err == nil {
			t.Error("Close does not say that Stop has not returned")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
		s.before(nil)
		close(release)
	})
}

// Whoever takes a while to heed its context is not cut short by Stop.
func TestClose_StopsTheChannelManagerAfterWhatItDoes(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		f := readyCluster(t, ctx, managedServers(s)...)
		n := f.Node("c1")
		var mu sync.Mutex // guards order
		var order []string
		s.before(func(ctx context.Context, _, method, _ string) error {
			if method == "Add" {
				<-ctx.Done()
				pause(context.WithoutCancel(ctx), 500*time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, method)
			return nil
		})
		added := make(chan error, 1)
		go func() { added <- n.Add(ctx, "guild", "alice", "b1") }()
		synctest.Wait()
		must(t, n.Close())
		wantError(t, <-added, node.ErrOutcomeUnknown, node.ErrClosed)
		mu.Lock()
		defer mu.Unlock()
		order = slices.DeleteFunc(order, func(method string) bool { return method == "PurgeSID" }) // of whoever leads
		if want := []string{"Add", "Stop"}; !slices.Equal(order, want) {
			t.Errorf("calls end as %q, want %q", order, want)
		}
	})
}

func TestChannelManager_CleanOnStartUpSparesTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		s := new(userStore)
		must(t, s.Store.Add(ctx, "guild", "alice", "gone"))
		cfg := server("c1", "connector")
		cfg.CleanOnStartUp = true
		f := readyCluster(t, ctx, over(s, cfg)...)
		wantNames(t, "alone", s.in("guild", "gone"))

		must(t, f.Node("c1").Add(ctx, "guild", "bob", "c1"))
		second := over(s, node.Config{SID: "c2", SType: "connector", CleanOnStartUp: true})[0]
		must(t, f.Start(second).Ready(ctx))
		wantNames(t, "beside another", s.in("guild", "c1"), "bob")
		if got := s.count("Clean by c2"); got != 0 {
			t.Errorf("Clean %d times", got)
		}

		// A store that does not clean keeps nobody from starting.
		f.Kill("c2")
		must(t, f.Node("c1").Close())
		s.before(func(ctx context.Context, _, method, _ string) error {
			if method == "Clean" || method == "PurgeSID" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		must(t, f.Restart("c1").Ready(ctx))
	})
}
