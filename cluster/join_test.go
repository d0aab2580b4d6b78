package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oracle answers joins from a table and notes who was asked.
type oracle struct {
	answering
	replies map[string]JoinReply
	asked   []string
}

func (o *oracle) Join(_ context.Context, addr string, _ JoinRequest) (JoinReply, error) {
	o.asked = append(o.asked, addr)
	if r, ok := o.replies[addr]; ok {
		return r, nil
	}
	return JoinReply{}, errors.New("connection refused")
}

func joiner(o *oracle, members []Member, seeds ...string) *joining {
	return &joining{
		self: Member{NodeID: "me", SID: "me", Addr: simAddr(0)}, ledger: &ledger{self: "me", identity: &disk{}}, consensus: &fakeRaft{world: newWorld(nil), nodeID: "me"},
		peers: o, members: func() []Member { return members }, seeds: func() []string { return seeds },
	}
}

func TestJoining_FollowsTheLeaderAndGoesOnWithoutIt(t *testing.T) {
	fellow := Member{NodeID: "a", Addr: simAddr(1), ClusterID: "ours"}
	t.Run("redirect", func(t *testing.T) {
		o := &oracle{replies: map[string]JoinReply{simAddr(1): {LeaderAddr: simAddr(2)}, simAddr(2): {Joined: true}}}
		if err := joiner(o, []Member{fellow}).attempt(t.Context(), "ours"); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{simAddr(1), simAddr(2)}, o.asked); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("two that name each other", func(t *testing.T) {
		o := &oracle{replies: map[string]JoinReply{simAddr(1): {LeaderAddr: simAddr(2)}, simAddr(2): {LeaderAddr: simAddr(1)}}}
		if err := joiner(o, []Member{fellow}).attempt(t.Context(), "ours"); err == nil {
			t.Error("joined")
		}
		if len(o.asked) != 2 {
			t.Errorf("asked %v", o.asked)
		}
	})
	t.Run("many that are dead", func(t *testing.T) {
		var members []Member
		for i := range 50 {
			members = append(members, Member{NodeID: nodeID(i), Addr: simAddr(i + 1), ClusterID: "ours"})
		}
		o := &oracle{}
		if err := joiner(o, members).attempt(t.Context(), "ours"); err == nil || len(o.asked) != maxAsked {
			t.Errorf("asked %d, err %v", len(o.asked), err)
		}
	})
}

func TestJoining_WhoseRefusalIsFinal(t *testing.T) {
	no := JoinReply{Refused: true, Reason: "another cluster"}
	fellow := Member{NodeID: "a", Addr: simAddr(1), ClusterID: "ours"}
	tests := map[string]struct {
		members []Member
		config  []Server
		seeds   []string
		final   bool
	}{
		"a fellow's":                    {members: []Member{fellow}, final: true},
		"a seed's, nobody else known":   {seeds: []string{simAddr(1)}, final: true},
		"a seed's, fellows in the log":  {seeds: []string{simAddr(1)}, config: []Server{{"me", simAddr(0), true}, {"b", simAddr(2), true}}},
		"of an address in the log only": {config: []Server{{"me", simAddr(0), true}, {"b", simAddr(1), true}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := &oracle{replies: map[string]JoinReply{simAddr(1): no}}
			j := joiner(o, test.members, test.seeds...)
			j.consensus.(*fakeRaft).world.groups["g"] = &raftGroup{servers: test.config}
			err := j.attempt(t.Context(), "ours")
			if got := errors.As(err, new(errRefused)); got != test.final {
				t.Errorf("final = %v, err = %v", got, err)
			}
		})
	}
}

func TestOptions_NameWhatIsWrong(t *testing.T) {
	w := newWorld(newSimNet())
	good := func() Options {
		o := Options{Self: Member{NodeID: "n", Incarnation: "i", SID: "s", Addr: simAddr(0)},
			Identity: &disk{}, Consensus: &fakeRaft{world: w, nodeID: "n"}, Peers: answering{},
			State: noLives{}, Timers: func() Timers { return Timers{} }, Answer: func([]Life) Answer { return Answer{} }}
		o.Packets, o.Streams, o.Dial = w.sim.open(simAddr(0))
		return o
	}
	tests := map[string]struct {
		spoil func(*Options)
		want  string
	}{
		"sid":          {func(o *Options) { o.Self.SID = "" }, "SID"},
		"node id":      {func(o *Options) { o.Self.NodeID = "a/b" }, "NodeID"},
		"wildcard":     {func(o *Options) { o.Self.Addr = "0.0.0.0:1" }, "Addr"},
		"port":         {func(o *Options) { o.Self.Addr = "10.0.0.1:0" }, "Addr"},
		"seed":         {func(o *Options) { o.Seeds = []string{"nowhere"} }, "Seeds"},
		"service":      {func(o *Options) { o.Seeds = []string{"srv:"} }, "Seeds"},
		"file":         {func(o *Options) { o.Seeds = []string{"file:"} }, "Seeds"},
		"expect":       {func(o *Options) { o.Expect = 256 }, "Expect"},
		"key":          {func(o *Options) { o.GossipKey = make([]byte, 20) }, "GossipKey"},
		"no consensus": {func(o *Options) { o.Consensus = nil }, "Consensus"},
		"no state":     {func(o *Options) { o.State = nil }, "State"},
		"no wire":      {func(o *Options) { o.Dial = nil }, "Dial"},
		"other record": {func(o *Options) { o.Identity = &disk{record: Record{NodeID: "x"}} }, "record"},
		"too long": {func(o *Options) {
			o.Self.SID, o.Self.Addr = strings.Repeat("s", 64), strings.Repeat("h", 130)+".invalid:1"
		}, "metadata"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := good()
			test.spoil(&o)
			c, err := Open(o)
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want it to name %s", err, test.want)
			}
			if n := len(w.sim.streams) + len(w.sim.packets); n != 0 {
				t.Errorf("%d sockets left open", n)
			}
		})
	}
}
