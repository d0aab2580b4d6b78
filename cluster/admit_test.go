package cluster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaderWith is a leader's admission over a configuration; answers says which
// node id lives at an address.
func leaderWith(t *testing.T, answers map[string]string, servers ...Server) (*admission, func() []Server) {
	t.Helper()
	w := newWorld(nil)
	w.groups["g"] = &raftGroup{servers: append([]Server{{"leader", simAddr(0), true}}, servers...), leader: "leader", last: 10}
	l, err := openLedger("leader", &disk{record: Record{ClusterID: "ours"}})
	if err != nil {
		t.Fatal(err)
	}
	raft := &fakeRaft{world: w, nodeID: "leader"}
	a := &admission{self: Member{NodeID: "leader", Addr: simAddr(0)}, ledger: l, consensus: raft,
		peers: answering(answers), state: noLives{}, names: namer{noLives{}.Lives, func(string) string { return "" }}, logger: slog.New(slog.DiscardHandler), turn: make(chan struct{}, 1)}
	return a, func() []Server { s, _ := raft.Configuration(); return s[1:] }
}

type answering map[string]string

func (a answering) Progress(_ context.Context, addr string) (Progress, error) {
	if id := a[addr]; id != "" {
		return Progress{NodeID: id}, nil
	}
	return Progress{}, errors.New("connection refused")
}
func (answering) Ping(context.Context, string, []Life) (Answer, error) {
	return Answer{}, errors.ErrUnsupported
}
func (answering) Promise(context.Context, string, Proposal, bool) error { return errors.ErrUnsupported }
func (answering) Withdraw(context.Context, string, WithdrawRequest) (WithdrawReply, error) {
	return WithdrawReply{}, errors.ErrUnsupported
}
func (answering) Join(context.Context, string, JoinRequest) (JoinReply, error) {
	return JoinReply{}, errors.ErrUnsupported
}

func TestAdmission_IdAndAddress(t *testing.T) {
	b, c := Server{"b", simAddr(1), true}, Server{"c", simAddr(2), false}
	tests := map[string]struct {
		join    JoinRequest
		answers map[string]string
		want    []Server
		refused bool
		reason  string
		sids    map[string]string // of node ids, as the state has them
	}{
		"new":                           {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d"}, nil, []Server{b, c, {"d", simAddr(3), false}}, false, "", nil},
		"same id, same address":         {JoinRequest{ClusterID: "ours", NodeID: "b", Addr: simAddr(1), SID: "b"}, nil, []Server{b, c}, false, "", nil},
		"same address, other id":        {JoinRequest{ClusterID: "ours", NodeID: "b2", Addr: simAddr(1), SID: "b"}, map[string]string{simAddr(1): "b2"}, []Server{c, {"b2", simAddr(1), false}}, false, "", map[string]string{"b": "b"}},
		"same address, old one answers": {JoinRequest{ClusterID: "ours", NodeID: "b2", Addr: simAddr(1), SID: "b"}, map[string]string{simAddr(1): "b"}, []Server{b, c}, false, "answers node b", map[string]string{"b": "b"}},
		"same address, nobody answers":  {JoinRequest{ClusterID: "ours", NodeID: "b2", Addr: simAddr(1), SID: "b"}, nil, []Server{b, c}, false, "does not answer", map[string]string{"b": "b"}},
		"a voter moves":                 {JoinRequest{ClusterID: "ours", NodeID: "b", Addr: simAddr(5), SID: "b"}, map[string]string{simAddr(5): "b"}, []Server{{"b", simAddr(5), true}, c}, false, "", nil},
		"a non-voter moves":             {JoinRequest{ClusterID: "ours", NodeID: "c", Addr: simAddr(5), SID: "c"}, map[string]string{simAddr(5): "c"}, []Server{b, {"c", simAddr(5), false}}, false, "", nil},
		"moves to where nobody is":      {JoinRequest{ClusterID: "ours", NodeID: "b", Addr: simAddr(5), SID: "b"}, nil, []Server{b, c}, false, "does not answer", nil},
		"moves to another's address":    {JoinRequest{ClusterID: "ours", NodeID: "c", Addr: simAddr(1), SID: "c"}, map[string]string{simAddr(1): "c"}, []Server{b, {"c", simAddr(1), false}}, false, "", nil},
		"the leader's own address":      {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(0), SID: "d"}, map[string]string{simAddr(0): "d"}, []Server{b, c}, true, "leader's own", nil},
		"another cluster":               {JoinRequest{ClusterID: "theirs", NodeID: "d", Addr: simAddr(3), SID: "d"}, nil, []Server{b, c}, true, "theirs", nil},
		"no cluster":                    {JoinRequest{ClusterID: "", NodeID: "d", Addr: simAddr(3), SID: "d"}, nil, []Server{b, c}, false, "names no cluster", nil},
		"a wildcard address":            {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: "0.0.0.0:7400", SID: "d"}, nil, []Server{b, c}, true, "malformed", nil},
		"taken out, and back":           {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d", Member: true}, nil, []Server{b, c}, true, "delete its whole data directory", nil},
		"the address of another sid":    {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(2), SID: "d", Member: true}, nil, []Server{b, c}, true, "taken out", map[string]string{"c": "c"}},
		"another sid's old address":     {JoinRequest{ClusterID: "ours", NodeID: "b", Addr: simAddr(2), SID: "b", Member: true}, map[string]string{simAddr(2): "b"}, []Server{{"b", simAddr(2), true}, c}, false, "", map[string]string{"c": "c"}},
		"a new sid at an old address":   {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(2), SID: "d"}, map[string]string{simAddr(2): "d"}, []Server{b, c, {"d", simAddr(2), false}}, false, "", map[string]string{"c": "c"}},
		"a new sid, nobody answers":     {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(2), SID: "d"}, nil, []Server{b, c}, false, "does not answer", map[string]string{"c": "c"}},
		"an address nobody knows":       {JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(2), SID: "d"}, map[string]string{simAddr(2): "d"}, []Server{b, c, {"d", simAddr(2), false}}, false, "", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, configuration := leaderWith(t, test.answers, b, c)
			var lives livesOf
			for nodeID, sid := range test.sids {
				lives = append(lives, Life{SID: sid, NodeID: nodeID, Epoch: 1})
			}
			a.state, a.names.lives = lives, lives.Lives
			for round := range 2 { // again: a join is repeated until it is answered
				reply := a.handle(t.Context(), test.join)
				if joined := test.reason == ""; reply.Joined != joined || reply.Refused != test.refused || !strings.Contains(reply.Reason, test.reason) {
					t.Fatalf("round %d: reply %+v", round, reply)
				}
				if diff := cmp.Diff(test.want, configuration()); diff != "" {
					t.Fatalf("round %d: %s", round, diff)
				}
			}
		})
	}
}

// livesOf is a state with these records.
type livesOf []Life

func (l livesOf) Lives() []Life                          { return l }
func (livesOf) CatchUp(context.Context) error            { return nil }
func (livesOf) End(context.Context, Life) error          { return errors.ErrUnsupported }
func (livesOf) Forget(context.Context, uint64) error     { return errors.ErrUnsupported }
func (livesOf) Level() uint32                            { return firstLevel }
func (livesOf) RaiseLevel(context.Context, uint32) error { return errors.ErrUnsupported }

// lateLives are seen once the leader has caught up.
type lateLives struct {
	livesOf
	late *livesOf
	err  error
}

func (l *lateLives) Lives() []Life { return *l.late }
func (l *lateLives) CatchUp(context.Context) error {
	if l.err == nil {
		*l.late = l.livesOf
	}
	return l.err
}

// Who had an address before goes if its sid is the joiner's, or has another server:
// that is looked up in the state as of now, and only then in gossip.
func TestAdmission_WhoseAddressItWas(t *testing.T) {
	b, c, e := Server{"b", simAddr(1), true}, Server{"c", simAddr(2), false}, Server{"e", simAddr(4), true}
	both := []Server{b, c, e, {"d", simAddr(1), false}}
	without := []Server{c, e, {"d", simAddr(1), false}}
	tests := map[string]struct {
		lives    []Life
		gossiped string // b's sid
		sid      string // the joiner's
		behind   error  // why the leader cannot catch up
		want     []Server
	}{
		"the state knows b under another name than gossip": {lives: []Life{{SID: "b", NodeID: "b", Up: true}}, gossiped: "d", sid: "d", want: both},
		"b's life is over":                             {lives: []Life{{SID: "b", NodeID: "b"}}, sid: "b", want: without},
		"b had another sid before":                     {lives: []Life{{SID: "d", NodeID: "b", Changed: 1}, {SID: "b", NodeID: "b", Changed: 2}}, sid: "d", want: both},
		"an attached frontend names its agent's node":  {lives: []Life{{SID: "d", NodeID: "b", Via: "b", Up: true}, {SID: "b", NodeID: "b"}}, sid: "d", want: both},
		"only gossip knows b":                          {gossiped: "b", sid: "b", want: without},
		"only gossip knows b, and it is another":       {gossiped: "b", sid: "d", want: both},
		"b's sid has another server":                   {lives: []Life{{SID: "b", NodeID: "e", Up: true}}, gossiped: "b", sid: "d", want: without},
		"b's sid has a server that is no longer there": {lives: []Life{{SID: "b", NodeID: "x", Up: true}}, gossiped: "b", sid: "d", want: both},
		"the leader cannot find out":                   {lives: []Life{{SID: "b", NodeID: "b"}}, gossiped: "b", sid: "b", behind: errors.New("no quorum"), want: []Server{b, c, e}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, configuration := leaderWith(t, map[string]string{simAddr(1): "d"}, b, c, e)
			state := &lateLives{test.lives, new(livesOf), test.behind}
			a.state, a.names = state, namer{state.Lives, func(id string) string {
				return map[string]string{"b": test.gossiped}[id]
			}}
			reply := a.handle(t.Context(), JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(1), SID: test.sid})
			if reply.Joined != (test.behind == nil) || reply.Refused {
				t.Errorf("reply %+v", reply)
			}
			if diff := cmp.Diff(test.want, configuration()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdmission_FollowerNamesTheLeader(t *testing.T) {
	a, _ := leaderWith(t, nil)
	raft := a.consensus.(*fakeRaft)
	raft.world.groups["g"].servers = append(raft.world.groups["g"].servers, Server{"f", simAddr(1), true})
	raft.nodeID, a.self.NodeID = "f", "f"
	r := JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d"}
	if diff := cmp.Diff(JoinReply{LeaderAddr: simAddr(0)}, a.handle(t.Context(), r)); diff != "" {
		t.Error(diff)
	}
	raft.world.groups["g"].leader = "gone"
	if reply := a.handle(t.Context(), r); reply.Joined || reply.Refused || reply.Reason == "" {
		t.Errorf("without a leader: %+v", reply)
	}
}

func TestAdmission_OneAtATimeAndNotBeyondItsContext(t *testing.T) {
	a, _ := leaderWith(t, nil)
	a.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if reply := a.handle(ctx, JoinRequest{ClusterID: "ours", NodeID: "d", Addr: simAddr(3), SID: "d"}); reply.Joined || reply.Reason == "" {
		t.Errorf("reply %+v", reply)
	}
}
