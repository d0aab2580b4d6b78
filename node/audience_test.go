package node_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pofresh/globalchannel/node"
)

// inOrder is sorted for lists that may be any.
func inOrder(list []string) []string {
	slices.Sort(list)
	return list
}

// selected is an audience as n shows it: sorted uid@sid, with /session where it is
// not 0.
func selected(ctx context.Context, n *node.Node, a node.Audience, o ...node.ReadOption) ([]string, error) {
	seq, err := n.Select(ctx, a, o...)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for m := range seq {
		s := m.UID + "@" + m.SID
		if m.Session != 0 {
			s += fmt.Sprint("/", m.Session)
		}
		list = append(list, s)
	}
	return inOrder(list), nil
}

// crowded is a node with channels that overlap: alice is on two servers, with sessions.
func crowded(t *testing.T, ctx context.Context) *node.Node {
	t.Helper()
	cfg := server("c1", "connector")
	cfg.Cluster.ExternalSIDs = true
	n, err := node.Start(ctx, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	must(t, n.Ready(ctx))
	var ops []node.Op
	for _, m := range crowd {
		ops = append(ops, node.Op{Kind: node.OpAdd, Name: m.name, UID: m.uid, SID: m.sid, Session: m.session})
	}
	_, err = n.Apply(ctx, ops...)
	must(t, err)
	return n
}

var crowd = []struct {
	name, uid, sid string
	session        uint64
}{
	{"world", "alice", "c1", 3}, {"world", "alice", "x1", 0}, {"world", "bob", "c1", 0}, {"world", "carol", "x1", 0}, {"world", "dave", "x2", 0},
	{"guild", "alice", "x1", 5}, {"guild", "bob", "x2", 0}, {"guild", "erin", "c1", 0},
	{"muted", "alice", "x2", 0}, {"muted", "dave", "x2", 0},
}

func TestSelect_Algebra(t *testing.T) {
	ctx := within(t)
	n := crowded(t, ctx)
	world, guild, muted := node.Channel("world"), node.Channel("guild"), node.Channel("muted")
	for what, tt := range map[string]struct {
		of   node.Audience
		want string
	}{
		"one channel":            {guild, "alice@x1/5 bob@x2 erin@c1"},
		"no such channel":        {node.Channel("nowhere"), ""},
		"no channel":             {node.Channel(), ""},
		"nobody":                 {node.UIDs(), ""},
		"union":                  {node.Channel("world", "guild"), "alice@c1/3 alice@x1/5 bob@c1 bob@x2 carol@x1 dave@x2 erin@c1"},
		"a channel twice":        {node.Channel("guild", "guild"), "alice@x1/5 bob@x2 erin@c1"},
		"uids, wherever":         {node.UIDs("alice", "erin", "nobody", "erin"), "alice@c1 alice@x1 alice@x2 erin@c1"},
		"where in the guild":     {guild.And(node.UIDs("alice", "carol")), "alice@x1/5"},
		"uids in the guild":      {node.UIDs("alice", "carol").And(guild), "alice@c1 alice@x1 alice@x2"},
		"both":                   {world.And(guild), "alice@c1/3 alice@x1 bob@c1"},
		"both, the other way":    {guild.And(world), "alice@x1/5 bob@x2"},
		"muted on another sid":   {world.Except(muted), "bob@c1 carol@x1"},
		"but one":                {world.Except(node.UIDs("bob")), "alice@c1/3 alice@x1 carol@x1 dave@x2"},
		"nested":                 {node.Channel("world", "guild").Except(muted.Except(node.UIDs("dave"))), "bob@c1 bob@x2 carol@x1 dave@x2 erin@c1"},
		"nested on both sides":   {world.Except(muted).And(guild.Except(node.UIDs("erin"))), "bob@c1"},
		"nothing but what it is": {world.And(world).Except(world), ""},
	} {
		got, err := selected(ctx, n, tt.of)
		must(t, err)
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestSelect_RefusesWhatCannotBeListed(t *testing.T) {
	ctx := within(t)
	n := crowded(t, ctx)
	world := node.Channel("world")
	for _, a := range []node.Audience{
		{}, node.Everybody(), node.Everybody().And(world), world.Except(node.Everybody()), world.And(world.Except(node.Everybody())), world.And(node.Audience{}),
	} {
		_, err := n.Select(ctx, a)
		wantError(t, err, node.ErrInvalidArgument)
	}
}

func TestAudience_IsAValue(t *testing.T) {
	ctx := within(t)
	n := crowded(t, ctx)
	names, uids := []string{"guild"}, []string{"alice"}
	a, b := node.Channel(names...), node.UIDs(uids...)
	names[0], uids[0] = "world", "bob"
	_ = a.And(b)
	for what, tt := range map[string]struct {
		of   node.Audience
		want []string
	}{"channel": {a, []string{"alice@x1/5", "bob@x2", "erin@c1"}}, "uids": {b, []string{"alice@c1", "alice@x1", "alice@x2"}}} {
		got, err := selected(ctx, n, tt.of)
		must(t, err)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// naive is an audience said plainly: its players, and the pairs that stand for them.
type naive map[string]uint64 // session by uid@sid

func (a naive) uids() map[string]bool {
	uids := map[string]bool{}
	for pair := range a {
		uid, _, _ := strings.Cut(pair, "@")
		uids[uid] = true
	}
	return uids
}

func (a naive) where(keep func(uid string) bool) naive {
	a = maps.Clone(a)
	maps.DeleteFunc(a, func(pair string, _ uint64) bool { uid, _, _ := strings.Cut(pair, "@"); return !keep(uid) })
	return a
}

// drawAudience draws one with its naive twin.
func drawAudience(t *rapid.T, depth int) (node.Audience, naive, string) {
	kinds := []string{"channel", "uids"}
	if depth > 0 {
		kinds = append(kinds, "and", "except")
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "channel":
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"world", "guild", "muted", "nowhere"}), 0, 3).Draw(t, "names")
		want := naive{}
		for _, m := range crowd {
			if pair := m.uid + "@" + m.sid; slices.Contains(names, m.name) {
				want[pair] = max(want[pair], m.session)
			}
		}
		return node.Channel(names...), want, fmt.Sprint(names)
	case "uids":
		uids := rapid.SliceOfN(rapid.SampledFrom([]string{"alice", "bob", "carol", "dave", "erin", "nobody"}), 0, 4).Draw(t, "uids")
		want := naive{}
		for _, m := range crowd {
			if slices.Contains(uids, m.uid) {
				want[m.uid+"@"+m.sid] = 0
			}
		}
		return node.UIDs(uids...), want, fmt.Sprintf("%q", uids)
	default:
		a, wantA, saysA := drawAudience(t, depth-1)
		b, wantB, saysB := drawAudience(t, depth-1)
		uids := wantB.uids()
		if kind == "and" {
			return a.And(b), wantA.where(func(uid string) bool { return uids[uid] }), "(" + saysA + " and " + saysB + ")"
		}
		return a.Except(b), wantA.where(func(uid string) bool { return !uids[uid] }), "(" + saysA + " except " + saysB + ")"
	}
}

func TestSelect_IsWhatANaiveOneSays(t *testing.T) {
	ctx := within(t)
	n := crowded(t, ctx)
	rapid.Check(t, func(rt *rapid.T) {
		a, naive, says := drawAudience(rt, 3)
		want := []string{}
		for pair, session := range naive {
			if session != 0 {
				pair += fmt.Sprint("/", session)
			}
			want = append(want, pair)
		}
		got, err := selected(ctx, n, a)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(inOrder(want), got); diff != "" {
			rt.Fatalf("%s (-want +got):\n%s", says, diff)
		}
	})
}

// Who is in it throughout is yielded once, whatever comes and goes meanwhile; and the
// iterator holds no lock.
func TestSelect_BesideWriters(t *testing.T) {
	ctx := within(t)
	n := crowded(t, ctx)
	restless, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := 0; restless.Err() == nil; j++ {
				uid := fmt.Sprint("guest-", i, "-", j%50)
				_, _ = n.Apply(restless, append(node.AddOps("world", "c1", uid), node.AddOps("guild", "c1", uid)...)...)
				_, _ = n.Apply(restless, node.LeaveOps("world", "c1", uid)...)
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	for range 100 {
		seq, err := n.Select(ctx, node.Channel("world").And(node.Channel("guild")).Except(node.UIDs("carol")))
		must(t, err)
		found := make(map[string]int)
		for m := range seq {
			must(t, n.Add(ctx, "seen", m.UID, "c1")) // no lock is held
			found[m.UID+"@"+m.SID]++
		}
		for pair, times := range found {
			if times != 1 {
				t.Fatalf("%s came %d times", pair, times)
			}
		}
		for _, pair := range []string{"alice@c1", "alice@x1", "bob@c1"} {
			if found[pair] != 1 {
				t.Fatalf("%s came %d times", pair, found[pair])
			}
		}
	}
}
