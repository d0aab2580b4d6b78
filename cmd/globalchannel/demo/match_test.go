package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// matchServer does what a match asks for, and loses every so many deliveries.
type matchServer struct {
	fakeServer
	lose  int // 0: none
	count int
	got   map[string]*receipts // by sid
}

func (s *matchServer) PushMessage(_ context.Context, _, _ string, msg []byte, name string, _ node.PushOptions) (node.PushResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	on := make(map[string][]string)
	for p := range s.members {
		if p.channel == name {
			on[p.sid] = append(on[p.sid], p.uid)
		}
	}
	var res node.PushResult
	for sid, uids := range on {
		if s.count++; s.lose == 0 || s.count%s.lose != 0 {
			s.got[sid].note(string(msg), uids)
		}
		res.Servers = append(res.Servers, node.ServerReport{SID: sid, Outcome: node.Delivered, Members: len(uids)})
	}
	return res, nil
}

// playMatch is a minute of a match on three servers, up to its check.
func playMatch(t *testing.T, lose int) (sums deliverySums, misses []miss) {
	synctest.Test(t, func(t *testing.T) {
		server := &matchServer{fakeServer: fakeServer{members: make(map[pair]struct{})}, lose: lose, got: make(map[string]*receipts)}
		lives := make(map[string]uint64)
		for i := range 3 {
			server.got[sidOf(i)], lives[sidOf(i)] = new(receipts), 7
		}
		d := newDeliveries()
		r, w := io.Pipe()
		out := newOutlet(w)
		read := make(chan error, 1)
		go func() {
			read <- readLines(r, func(rep report) error {
				if rep.Owed != nil {
					d.claim(*rep.Owed)
				}
				return nil
			})
		}()
		began := time.Now()
		m := &match{
			sid: sid1, server: server, lives: func() map[string]uint64 { return lives }, plan: planCrowds(3, 60)[0], gate: newGate(),
			out: out, clock: func() time.Duration { return time.Since(began) }, rnd: rand.New(rand.NewPCG(1, 2)),
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		m.run(ctx)
		if err := errors.Join(out.Close(), w.Close(), <-read); err != nil {
			t.Error(err)
		}
		for sid, got := range server.got {
			d.receive(sid, got.list)
		}
		sums, misses = d.check()
	})
	return sums, misses
}

func TestMatch_ClaimsWhatIsOwed(t *testing.T) {
	if sums, misses := playMatch(t, 0); sums.made < 1000 || len(misses) > 0 {
		t.Errorf("%+v, misses %v", sums, misses)
	}
	if sums, misses := playMatch(t, 50); sums.made < 1000 || len(misses) < 20 {
		t.Errorf("%+v, and only %d misses", sums, len(misses))
	}
}

// A report either says that a player was reached, or names him.
func TestMatch_TakesAReportByItsWord(t *testing.T) {
	m := &match{members: map[delivery]uint64{to("ann"): 7}}
	delivered := node.PushResult{Members: 1, Servers: []node.ServerReport{{SID: sid1, Outcome: node.Delivered, Members: 1}}}
	offline := delivered
	offline.Failed = []string{"ann"}
	for name, tt := range map[string]struct {
		res  node.PushResult
		err  error
		want string
	}{
		"delivered":           {delivered, nil, "made [{ann connector-1}], not made 0, missed []"},
		"offline":             {offline, nil, "made [], not made 1, missed []"},
		"the call failed":     {node.PushResult{}, node.ErrClosed, "made [], not made 1, missed []"},
		"not in the report":   {node.PushResult{}, nil, "made [], not made 0, missed [{ann connector-1}]"},
		"nobody, and unnamed": {node.PushResult{Servers: []node.ServerReport{{SID: sid1, Outcome: node.NotDelivered}}}, node.ErrPushFailed, "made [], not made 0, missed [{ann connector-1}]"},
	} {
		c := m.claim(tt.res, tt.err)
		if got := fmt.Sprintf("made %v, not made %d, missed %v", c.Made, c.NotMade, c.Missed); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// Whoever's server began another life was removed with the old one.
func TestMatch_OwesNothingToAnEarlierLife(t *testing.T) {
	out := newOutlet(io.Discard)
	m := &match{
		sid: sid1, server: &fakeServer{}, out: out, clock: func() time.Duration { return 0 },
		lives: func() map[string]uint64 { return map[string]uint64{sid1: 8} }, members: map[delivery]uint64{to("ann"): 7, to("bob"): 8},
	}
	m.push(t.Context(), "m")
	if _, ann := m.members[to("ann")]; ann || len(m.members) != 1 {
		t.Errorf("members %v, want bob only", m.members)
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
}

// The handler's answer stays what it was, and of matches it is noted who was reached.
func TestReceipts_AreOfMatchesAndOfThoseConnected(t *testing.T) {
	var got receipts
	handle := got.wrap(func(_ context.Context, d *node.Delivery) ([]string, error) {
		if d.Route == "broken" {
			return nil, io.EOF
		}
		return []string{"ann"}, nil
	})
	for _, d := range []*node.Delivery{{Channel: "guild:1"}, {Channel: "match:a", Route: "broken"}, {Channel: "match:a", Msg: []byte("m")}} {
		offline, err := handle(t.Context(), d)
		if d.Route == "broken" && err != io.EOF || d.Route != "broken" && !slices.Equal(offline, []string{"ann"}) {
			t.Errorf("%s %s: %v, %v", d.Channel, d.Route, offline, err)
		}
	}
	if len(got.list) != 1 || got.list[0].Msg != "m" {
		t.Errorf("receipts %v", got.list)
	}
}
