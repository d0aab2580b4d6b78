package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// asked is the answer of every question about a channel and a player.
type asked struct {
	Count, OnC1    int
	Contains       bool
	Channels, SIDs []string
	Names          []string
}

func ask(t *testing.T, ctx context.Context, n *node.Node, name, uid string, o ...node.ReadOption) (a asked) {
	t.Helper()
	var err error
	a.Count, err = n.Count(ctx, name, o...)
	must(t, err)
	a.OnC1, err = n.CountBySID(ctx, name, "c1", o...)
	must(t, err)
	a.Contains, err = n.Contains(ctx, name, uid, o...)
	must(t, err)
	a.Channels, err = n.ChannelsOf(ctx, uid, o...)
	must(t, err)
	slices.Sort(a.Channels)
	a.SIDs, err = n.SIDsOf(ctx, uid, o...)
	must(t, err)
	slices.Sort(a.SIDs)
	a.Names, err = n.Channels(ctx, "", "", 10, o...)
	must(t, err)
	return a
}

// Every server answers every question alike, with each read option; what a server that was
// killed had is in no answer, and the service says that it is parked.
func TestNode_QuestionsAreAnsweredEverywhere(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c2")
		for _, m := range [][3]string{{"room", "alice", "c1"}, {"room", "alice", "c4"}, {"hall", "alice", "c4"}, {"room", "bob", "c1"}} {
			must(t, n.Add(ctx, m[0], m[1], m[2]))
		}
		want := asked{Count: 3, OnC1: 2, Contains: true, Channels: []string{"hall", "room"}, SIDs: []string{"c1", "c4"}, Names: []string{"hall", "room"}}
		index := n.Index()
		for _, sid := range []string{"c1", "c2", "c3", "c4"} {
			for _, o := range []node.ReadOption{node.AtLeast(index), node.Linearizable()} {
				if diff := cmp.Diff(want, ask(t, ctx, f.Node(sid), "room", "alice", o)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", sid, diff)
				}
			}
		}
		if diff := cmp.Diff(want, ask(t, ctx, n, "room", "alice")); diff != "" {
			t.Errorf("read your writes (-want +got):\n%s", diff)
		}
		f.Kill("c4")
		f.Eventually(ctx, func() error {
			want := asked{Count: 2, OnC1: 2, Contains: true, Channels: []string{"room"}, SIDs: []string{"c1"}, Names: []string{"room"}}
			if diff := cmp.Diff(want, ask(t, ctx, n, "room", "alice", node.Stale())); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
		r, err := client(t, ctx, f, "c2").Explain(ctx, &pb.ExplainRequest{Name: "hall", Uid: "alice", Read: &pb.Freshness{Stale: true}})
		must(t, err)
		if len(r.GetPlaces()) != 1 || !r.GetPlaces()[0].GetParked() || r.GetPlaces()[0].GetUp() || !strings.Contains(r.GetVerdict(), "parked") || !slices.Equal(r.GetElsewhere(), []string{"c1"}) {
			t.Errorf("explain: %v", r)
		}
	})
}

// asking is every question, with an argument that may be bad.
func asking(ctx context.Context, n *node.Node) []struct {
	field string
	limit int
	run   func(arg string, o ...node.ReadOption) error
} {
	return []struct {
		field string
		limit int
		run   func(arg string, o ...node.ReadOption) error
	}{
		{"name", 255, func(s string, o ...node.ReadOption) error { _, err := n.Count(ctx, s, o...); return err }},
		{"name", 255, func(s string, o ...node.ReadOption) error { _, err := n.CountBySID(ctx, s, "c1", o...); return err }},
		{"sid", 64, func(s string, o ...node.ReadOption) error { _, err := n.CountBySID(ctx, "world", s, o...); return err }},
		{"name", 255, func(s string, o ...node.ReadOption) error { _, err := n.Contains(ctx, s, "alice", o...); return err }},
		{"uid", 255, func(s string, o ...node.ReadOption) error { _, err := n.Contains(ctx, "world", s, o...); return err }},
		{"uid", 255, func(s string, o ...node.ReadOption) error { _, err := n.ChannelsOf(ctx, s, o...); return err }},
		{"uid", 255, func(s string, o ...node.ReadOption) error { _, err := n.SIDsOf(ctx, s, o...); return err }},
		{"prefix", 255, func(s string, o ...node.ReadOption) error { _, err := n.Channels(ctx, s, "", 1, o...); return err }},
		{"after", 255, func(s string, o ...node.ReadOption) error { _, err := n.Channels(ctx, "", s, 1, o...); return err }},
		{"name", 255, func(s string, o ...node.ReadOption) error {
			_, err := n.Select(ctx, node.Channel("world", s), o...)
			return err
		}},
		{"uid", 255, func(s string, o ...node.ReadOption) error {
			_, err := n.Select(ctx, node.Channel("world").Except(node.UIDs("alice", s)), o...)
			return err
		}},
	}
}

func TestQuestions_RefuseBadArguments(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		n := readyCluster(t, ctx, server("c1", "connector")).Node("c1")
		for _, q := range asking(ctx, n) {
			for what, bad := range badTexts(q.limit) {
				if optional := q.field == "prefix" || q.field == "after"; optional && bad == "" {
					must(t, q.run(bad))
					continue
				}
				err := q.run(bad)
				wantError(t, err, node.ErrInvalidArgument)
				if err != nil && !strings.Contains(err.Error(), q.field) {
					t.Errorf("%s %s: %q does not name the field", q.field, what, err)
				}
			}
			wantError(t, q.run("c1", node.Stale(), node.Linearizable()), node.ErrInvalidArgument)
			ended, cancel := context.WithCancel(ctx)
			cancel()
			for _, same := range asking(ended, n) {
				wantError(t, same.run("c1"), node.ErrNotSent, context.Canceled)
			}
		}
		for limit, good := range map[int]bool{-1: false, 0: false, 1: true, 10_000: true, 10_001: false} {
			_, err := n.Channels(ctx, "", "", limit)
			if good {
				must(t, err)
				continue
			}
			wantError(t, err, node.ErrInvalidArgument)
			if err != nil && !strings.Contains(err.Error(), "10000") {
				t.Errorf("%q does not name the limit", err)
			}
		}
		must(t, n.Close())
		for _, q := range asking(ctx, n) {
			wantError(t, q.run("c1"), node.ErrClosed)
		}
	})
}

func TestQuestions_OfAHaltedReplicaFail(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		n := readyCluster(t, ctx, server("c1", "connector")).Node("c1")
		n.Halt()
		for _, q := range asking(ctx, n) {
			wantOccasion(t, q.run("c1"), node.ErrHalted)
		}
	})
}

func TestQuestions_CountAndContainsAllocateNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	ctx := within(t)
	n, err := node.Start(ctx, server("c1", "connector"))
	must(t, err)
	defer func() { must(t, n.Close()) }()
	must(t, n.Ready(ctx))
	must(t, n.Add(ctx, "world", "alice", "c1"))
	for what, ask := range map[string]func() bool{
		"Count":      func() bool { count, err := n.Count(ctx, "world"); return err == nil && count == 1 },
		"CountBySID": func() bool { count, err := n.CountBySID(ctx, "world", "c1"); return err == nil && count == 1 },
		"Contains":   func() bool { in, err := n.Contains(ctx, "world", "alice"); return err == nil && in },
	} {
		allocs := testing.AllocsPerRun(1000, func() {
			if !ask() {
				t.Error(what, "answers wrong")
			}
		})
		if allocs >= 1 { // others of the process may do so now and then
			t.Errorf("%s: %v allocations", what, allocs)
		}
	}
}

func TestQuestions_PagesShowEveryChannelThatStays(t *testing.T) {
	ctx := within(t)
	n, err := node.Start(ctx, server("c1", "connector"))
	must(t, err)
	defer func() { must(t, n.Close()) }()
	must(t, n.Ready(ctx))
	const stays = 60
	for i := range stays {
		must(t, n.Add(ctx, fmt.Sprintf("stay:%03d", i), "alice", "c1"))
	}
	restless, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range 4 { // others come and go in between, and with the same player
		wg.Go(func() {
			for j := 0; restless.Err() == nil; j++ {
				name := fmt.Sprintf("stay:%03d+%d", j%stays, i)
				_ = n.Add(restless, name, "alice", "c1")
				_ = n.Leave(restless, name, "alice", "c1")
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	for range 20 {
		found, after := make(map[string]int), ""
		for {
			page, err := n.Channels(ctx, "stay:", after, 7)
			must(t, err)
			if !slices.IsSorted(page) {
				t.Fatalf("not in order: %q", page)
			}
			for _, name := range page {
				found[name]++
			}
			if len(page) < 7 {
				break
			}
			after = page[len(page)-1]
		}
		of, err := n.ChannelsOf(ctx, "alice")
		must(t, err)
		for i := range stays {
			name := fmt.Sprintf("stay:%03d", i)
			if found[name] != 1 || !slices.Contains(of, name) {
				t.Fatalf("%s is %d times in the pages; channels of alice: %q", name, found[name], of)
			}
		}
	}
}
