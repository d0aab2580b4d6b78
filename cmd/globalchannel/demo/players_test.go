package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// fakeServer is a naive set of members whose calls can be made to fail.
type fakeServer struct {
	mu      sync.Mutex // guards members, calls
	members map[pair]struct{}
	calls   int
	fail    func(call int) error // after the effect
	took    time.Duration
}

func (f *fakeServer) Add(ctx context.Context, name, uid, sid string) error {
	return f.call(ctx, func() { f.members[pair{name, uid, sid}] = struct{}{} })
}

func (f *fakeServer) Leave(ctx context.Context, name, uid, sid string) error {
	return f.call(ctx, func() { delete(f.members, pair{name, uid, sid}) })
}

func (f *fakeServer) call(ctx context.Context, effect func()) error {
	pause(ctx, f.took)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	effect()
	if f.fail != nil {
		return f.fail(f.calls)
	}
	return nil
}

func (f *fakeServer) PushMessage(ctx context.Context, _, _ string, _ []byte, _ string, _ node.PushOptions) (node.PushResult, error) {
	pause(ctx, f.took)
	return node.PushResult{Members: 10, Servers: []node.ServerReport{
		{Outcome: node.Delivered, Members: 5, Failed: []string{"x"}},
		{Outcome: node.NotDelivered, Members: 3}, {Outcome: node.Unknown, Members: 2},
	}}, nil
}

// A whole crowd against a naive server, some of whose answers are unknown: what
// the crowd reported must allow what the server holds, at every pause.
func TestCrowd_ReportsWhatTheTruthNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{members: make(map[pair]struct{}), took: 10 * time.Millisecond}
		server.fail = func(call int) error {
			if call%7 == 0 {
				return fmt.Errorf("%w: no answer", node.ErrOutcomeUnknown)
			}
			return nil
		}
		r, w := io.Pipe()
		out := newOutlet(w)
		tr := newTruth()
		tr.begin(sid1, 0)
		var seen []report
		read := make(chan error, 1)
		go func() {
			read <- readLines(r, func(rep report) error {
				seen = append(seen, report{Players: rep.Players, Settled: rep.Settled})
				for _, op := range rep.Ops {
					if err := tr.record(sid1, op); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		c := &crowd{sid: sid1, server: server, sessions: newSessions(), out: out, gate: newGate(), clock: func() time.Duration { return time.Since(began) }}
		c.pace.Store(int64(briskly))
		c.start(ctx, planCrowds(1, 40)[0], 1)

		for range 3 {
			<-time.After(20 * time.Second)
			<-c.gate.close()
			synctest.Wait()
			if found := tr.check("s", server.members); len(found) > 0 {
				t.Errorf("findings: %v", words(found))
			}
			before := server.calls
			<-time.After(20 * time.Second)
			if server.calls != before {
				t.Errorf("%d calls while the gate was closed", server.calls-before)
			}
			c.gate.open()
		}
		cancel()
		c.Wait()
		if err := errors.Join(out.Close(), w.Close(), <-read); err != nil {
			t.Error(err)
		}
		if !slices.ContainsFunc(seen, func(r report) bool { return r.Players == 40 }) {
			t.Error("the crowd never said that all have logged in")
		}
		if tr.tally.acknowledged < 500 || tr.tally.unknown < 50 {
			t.Errorf("tally %+v: too little happened", tr.tally)
		}
		s := c.sums.get()
		if s.Pushes == 0 || s.Delivered+s.NotDelivered+s.Unknown+s.Offline != s.Members {
			t.Errorf("push sums do not add up: %+v", s)
		}
	})
}

func TestClassify_EveryErrorHasAClass(t *testing.T) {
	tests := []struct {
		err  error
		want outcome
	}{
		{nil, acknowledged},
		{fmt.Errorf("add: %w", node.ErrServerGone), rejected},
		{node.ErrOverloaded, notSent},
		{fmt.Errorf("add: %w", node.ErrOutcomeUnknown), unknown},
		{errors.New("a bug"), unknown},
	}
	for _, tt := range tests {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("classify(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestPlanCrowds_EveryPlayerOnce(t *testing.T) {
	for _, servers := range []int{1, 2, 3, 5} {
		for _, players := range []int{servers, 60, 61, 1000} {
			seen := make(map[int]int)
			for _, p := range planCrowds(servers, players) {
				for i := range p.Count {
					seen[p.First+i*p.Step]++
				}
			}
			for n := 1; n <= players; n++ {
				if seen[n] != 1 {
					t.Fatalf("%d servers, %d players: player %d is dealt %d times", servers, players, n, seen[n])
				}
			}
			if len(seen) != players {
				t.Errorf("%d servers: %d players dealt, want %d", servers, len(seen), players)
			}
		}
	}
}

func TestSessions_NamesWhoIsNotConnected(t *testing.T) {
	s := newSessions()
	s.open("ann")
	s.open("bob")
	s.close("bob")
	if got := s.offline(slices.Values([]string{"ann", "bob", "cid"})); !slices.Equal(got, []string{"bob", "cid"}) {
		t.Errorf("offline = %v, want [bob cid]", got)
	}
}
