package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestService_ExplainSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c2")
		for _, m := range [][3]string{
			{"room", "alice", "c1"}, {"room", "alice", "c4"}, {"room", "bob", "c1"}, {"hall", "alice", "c4"}, {"den", "carol", "c4"}, {"hall", "dave", "c4"},
		} {
			must(t, n.Add(ctx, m[0], m[1], m[2]))
		}
		f.Kill("c4")
		f.Eventually(ctx, func() error {
			if n.Parked() != 4 {
				return fmt.Errorf("%d are parked", n.Parked())
			}
			return nil
		})
		const over = `the life of c4 is over, so no read and no push sees what is there; ` +
			`it comes back if the same process registers again within 10m0s of that end (ForgetAfter), and is dropped otherwise`
		for _, tt := range []struct{ name, uid, want string }{
			{"room", "bob", `"bob" is in "room" on c1`},
			{"room", "alice", `"alice" is in "room" on c1; and ` + over},
			{"hall", "alice", `"alice" is in "hall" only as a parked member: ` + over + `, and is in other channels on c1 (1), and in some as a parked member: ` + over},
			{"den", "carol", `"carol" is in "den" only as a parked member: ` + over},
			{"den", "bob", `"den" has only parked members, 1 of them, whose servers' lives are over, and "bob" is not among them, but is in other channels on c1 (1)`},
			{"room", "dave", `"room" has 2 members, and "dave" is not among them, but is in other channels as a parked member: ` + over},
			{"none", "bob", `there is no channel "none": nobody is in it, but is in other channels on c1 (1)`},
			{"room", "erin", `"room" has 2 members, and "erin" is not among them; nor is "erin" in any other channel: never added, left, or gone with the life of a server`},
		} {
			r, err := client(t, ctx, f, "c2").Explain(ctx, &pb.ExplainRequest{Name: tt.name, Uid: tt.uid})
			must(t, err)
			if r.GetVerdict() != tt.want {
				t.Errorf("%s in %s:\n got %s\nwant %s", tt.uid, tt.name, r.GetVerdict(), tt.want)
			}
			if r.GetIndex() < n.Index() {
				t.Errorf("told of index %d, want %d or later", r.GetIndex(), n.Index())
			}
		}
		r, err := client(t, ctx, f, "c2").Explain(ctx, &pb.ExplainRequest{Name: "room", Uid: "dave"})
		must(t, err)
		if r.GetMembers() != 2 || r.GetParked() != 1 || !slices.Equal(r.GetParkedElsewhere(), []string{"c4"}) || len(r.GetPlaces())+len(r.GetElsewhere()) > 0 {
			t.Errorf("dave: %v", r)
		}
	})
}

func TestService_ExplainTellsThePlaces(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		for i := range cfgs {
			cfgs[i].Cluster.ExternalSIDs = true
		}
		f := readyCluster(t, ctx, cfgs...)
		s := f.Node("c1").Session("alice")
		must(t, s.Add(ctx, "room"))
		for _, sid := range []string{"c2", "c3", "out"} {
			must(t, f.Node("c1").Add(ctx, "room", "alice", sid))
		}
		f.WaitEqual(ctx)
		self := f.Node("c1").Self()
		f.Kill("c3") // whose life is not over yet
		r, err := client(t, ctx, f, "c1").Explain(ctx, &pb.ExplainRequest{Name: "room", Uid: "alice"})
		must(t, err)
		if !r.GetExists() || r.GetMembers() != 4 || r.GetParked() != 0 || len(r.GetPlaces()) != 4 {
			t.Fatalf("%v", r)
		}
		for i, want := range []struct {
			sid     string
			up      bool
			answers bool
			problem string
		}{{"c1", true, true, ""}, {"c2", true, true, ""}, {"c3", true, false, "nobody listens"}, {"out", false, false, "never registered"}} {
			p := r.GetPlaces()[i]
			if p.GetSid() != want.sid || p.GetUp() != want.up || p.GetParked() || p.GetAnswers() != want.answers || !strings.Contains(p.GetProblem(), want.problem) ||
				(want.problem == "") != (p.GetProblem() == "") || p.GetAdded() == 0 {
				t.Errorf("%v, want %+v", p, want)
			}
		}
		if p := r.GetPlaces()[0]; p.GetEpoch() != self.Epoch || p.GetAddr() != self.Addr || p.GetStype() != self.SType || p.GetSession() != s.Token() || p.GetVia() != "" {
			t.Errorf("%v, want %+v with session %d", p, self, s.Token())
		}
	})
}

// everyQuestion asks the service all of them with one freshness.
func everyQuestion(c pb.GlobalChannelClient, read *pb.Freshness) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"count": func(ctx context.Context) error {
			_, err := c.Count(ctx, &pb.CountRequest{Name: "room", Read: read})
			return node.FromStatus(err)
		},
		"channels": func(ctx context.Context) error {
			_, err := c.Channels(ctx, &pb.ChannelsRequest{Limit: 1, Read: read})
			return node.FromStatus(err)
		},
		"explain": func(ctx context.Context) error {
			_, err := c.Explain(ctx, &pb.ExplainRequest{Name: "room", Uid: "alice", Read: read})
			return node.FromStatus(err)
		},
		"where": func(ctx context.Context) error {
			stream, err := c.Where(ctx, &pb.WhereRequest{Uid: "alice", Read: read})
			if err == nil {
				_, err = stream.Recv()
			}
			return node.FromStatus(err)
		},
	}
}

func TestService_QuestionsAreAsFreshAsAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		must(t, f.Node("c1").Add(ctx, "room", "alice", "c1"))
		c := client(t, ctx, f, "c4")
		for _, good := range []*pb.Freshness{nil, {Stale: true}, {Linearizable: true}, {MaxStalenessMs: 2000}, {MinIndex: f.Node("c1").Index()}} {
			for what, ask := range everyQuestion(c, good) {
				if err := ask(ctx); err != nil {
					t.Errorf("%s with %v: %v", what, good, err)
				}
			}
		}
		for _, bad := range []*pb.Freshness{{Stale: true, Linearizable: true}, {MinIndex: 1, MaxStalenessMs: 5}, {MaxStalenessMs: -1}} {
			for _, ask := range everyQuestion(c, bad) {
				wantOccasion(t, ask(ctx), node.ErrInvalidArgument)
			}
		}
		for _, ask := range everyQuestion(c, &pb.Freshness{MinIndex: 1 << 40}) {
			wantOccasion(t, timed(t, ctx, 300*time.Millisecond, ask), node.ErrReplicaBehind, context.DeadlineExceeded)
		}
		f.Node("c4").Halt()
		for _, ask := range everyQuestion(c, nil) {
			wantOccasion(t, ask(ctx), node.ErrHalted)
		}
	})
}

func TestService_QuestionsRefuseBadArguments(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		c := client(t, ctx, f, "c1")
		long := strings.Repeat("x", 256)
		for what, ask := range map[string]func() error{
			"name":   func() error { _, err := c.Count(ctx, &pb.CountRequest{}); return err },
			"sid":    func() error { _, err := c.Count(ctx, &pb.CountRequest{Name: "room", Sid: long}); return err },
			"prefix": func() error { _, err := c.Channels(ctx, &pb.ChannelsRequest{Prefix: long, Limit: 1}); return err },
			"after":  func() error { _, err := c.Channels(ctx, &pb.ChannelsRequest{After: long, Limit: 1}); return err },
			"limit":  func() error { _, err := c.Channels(ctx, &pb.ChannelsRequest{Limit: 10_001}); return err },
			"uid":    func() error { _, err := c.Explain(ctx, &pb.ExplainRequest{Name: "room"}); return err },
			"uid ": func() error {
				stream, err := c.Where(ctx, &pb.WhereRequest{Uid: long})
				if err == nil {
					_, err = stream.Recv()
				}
				return err
			},
		} {
			err := ask()
			wantError(t, node.FromStatus(err), node.ErrInvalidArgument)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), strings.TrimSpace(what)) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// A bot may be in more channels than fit into one message.
func TestService_WhereComesInChunks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		const channels = 9000
		want := make([]string, 0, channels)
		for i := range channels {
			want = append(want, fmt.Sprintf("guild:%05d", i))
		}
		for some := range slices.Chunk(want, 3000) {
			var ops []node.Op
			for _, name := range some {
				ops = append(ops, node.AddOps(name, "c1", "bot")...)
			}
			_, err := f.Node("c4").Apply(ctx, ops...)
			must(t, err)
		}
		must(t, f.Node("c4").Add(ctx, "lobby", "bot", "c2"))
		stream, err := client(t, ctx, f, "c4").Where(ctx, &pb.WhereRequest{Uid: "bot"})
		must(t, err)
		got, chunks := map[string][]string{}, 0
		for ; ; chunks++ {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			got[r.GetSid()] = append(got[r.GetSid()], r.GetChannels()...)
		}
		if !slices.Equal(got["c1"], want) || !slices.Equal(got["c2"], []string{"lobby"}) || chunks < 3 {
			t.Errorf("%d channels on c1, %q on c2, in %d chunks", len(got["c1"]), got["c2"], chunks)
		}
	})
}
