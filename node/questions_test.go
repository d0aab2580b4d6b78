package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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

func TestNode_QuestionsNameWhatIsWrong(t *testing.T) {
	f := readyCluster(t, within(t), node.Config{SID: "c1", SType: "connector"})
	n, ctx := f.Node("c1"), within(t)
	long := strings.Repeat("n", 256)
	for want, f := range map[string]func() error{
		"name":   func() error { _, err := n.Count(ctx, ""); return err },
		"sid":    func() error { _, err := n.CountBySID(ctx, "x", long); return err },
		"uid":    func() error { _, err := n.Contains(ctx, "x", "nul\x00"); return err },
		"prefix": func() error { _, err := n.Channels(ctx, long, "", 1); return err },
		"after":  func() error { _, err := n.Channels(ctx, "", "\xff", 1); return err },
		"limit":  func() error { _, err := n.Channels(ctx, "", "", node.MaxChannels+1); return err },
		"read options": func() error {
			_, err := n.ChannelsOf(ctx, "u", node.Stale(), node.Linearizable())
			return err
		},
	} {
		if err := f(); !errors.Is(err, node.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want ErrInvalidArgument that names it", want, err)
		}
	}
	if _, err := n.SIDsOf(ctx, ""); !errors.Is(err, node.ErrInvalidArgument) {
		t.Errorf("SIDsOf of nobody: error %v", err)
	}
	for _, limit := range []int{0, -1} {
		if _, err := n.Channels(ctx, "", "", limit); !errors.Is(err, node.ErrInvalidArgument) {
			t.Errorf("limit %d: error %v", limit, err)
		}
	}
}
