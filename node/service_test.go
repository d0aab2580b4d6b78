package node_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// client is one of the public service at sid, from a machine outside the cluster.
func client(t *testing.T, ctx context.Context, f *nodetest.Fleet, sid string) pb.GlobalChannelClient {
	t.Helper()
	conn, err := transport.DialClient(ctx, f.Address(sid), nil, f.Network())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return pb.NewGlobalChannelClient(conn)
}

// listed drains a Members stream: sorted uid@sid, and the index.
func listed(t *testing.T, ctx context.Context, c pb.GlobalChannelClient, r *pb.MembersRequest) ([]string, uint64) {
	t.Helper()
	stream, err := c.Members(ctx, r)
	must(t, err)
	list, index := []string{}, uint64(0)
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			slices.Sort(list)
			return list, index
		}
		must(t, err)
		index = max(index, chunk.GetIndex())
		for _, m := range chunk.GetMembers() {
			list = append(list, m.GetUid()+"@"+m.GetSid())
		}
	}
}

func TestService_AnswersEveryCallAtEveryNode(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[0].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return []string{"bob"}, nil }
		f := readyCluster(t, ctx, cfgs...)
		for _, sid := range []string{"c1", "c2", "c3", "c4"} {
			c := client(t, ctx, f, sid)
			for _, uid := range []string{"alice", "bob"} {
				_, err := c.Add(ctx, &pb.AddRequest{Name: "world", Uid: uid, Sid: "c1"})
				must(t, err)
			}
			w, err := c.Add(ctx, &pb.AddRequest{Name: "world", Uid: "carol", Sid: "c2"})
			must(t, err)
			for _, q := range []struct {
				r    *pb.MembersRequest
				want []string
			}{
				{&pb.MembersRequest{Name: "world"}, []string{"alice@c1", "bob@c1", "carol@c2"}},
				{&pb.MembersRequest{Name: "world", Sid: "c2"}, []string{"carol@c2"}},
				{&pb.MembersRequest{Name: "world", Stype: "connector"}, []string{"alice@", "bob@", "carol@"}},
				{&pb.MembersRequest{Name: "nowhere", Stale: true}, []string{}},
			} {
				q.r.MinIndex = w.GetIndex()
				if q.r.Stale {
					q.r.MinIndex = 0
				}
				got, index := listed(t, ctx, c, q.r)
				if !slices.Equal(got, q.want) || (index < w.GetIndex() && !q.r.Stale) {
					t.Errorf("%s: members %v at %d, want %v at %d", sid, got, index, q.want, w.GetIndex())
				}
			}
			p, err := c.Push(ctx, &pb.PushRequest{Name: "world", Stype: "connector", Route: "r", Msg: []byte("hi"), MinIndex: w.GetIndex()})
			must(t, err)
			if p.GetOk() || p.GetMembers() != 3 || !slices.Equal(p.GetFailed(), []string{"bob"}) || len(p.GetServers()) != 2 ||
				!slices.Equal(p.GetUndelivered(), []string{"bob", "carol"}) || p.GetServers()[0].GetOutcome() != pb.Outcome_OUTCOME_DELIVERED ||
				p.GetServers()[1].GetOutcome() != pb.Outcome_OUTCOME_NOT_DELIVERED || p.GetServers()[1].GetReason() != "no push handler" {
				t.Errorf("%s: push %v", sid, p)
			}
			_, err = c.Leave(ctx, &pb.LeaveRequest{Name: "world", Uid: "alice", Sid: "c1"})
			must(t, err)
			_, err = c.Destroy(ctx, &pb.DestroyRequest{Name: "world"})
			must(t, err)
			w, err = c.DestroyAll(ctx, &pb.DestroyAllRequest{})
			must(t, err)
			if got, _ := listed(t, ctx, c, &pb.MembersRequest{Name: "world", MinIndex: w.GetIndex()}); len(got) != 0 {
				t.Errorf("%s: after destroy %v", sid, got)
			}
		}
	})
}

func TestService_TellsServersAndStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx).Self().SID
		for _, sid := range []string{"c1", "c4"} {
			c := client(t, ctx, f, sid)
			list, err := c.Servers(ctx, &pb.ServersRequest{})
			must(t, err)
			if len(list.GetServers()) != 4 {
				t.Errorf("%v", list)
			}
			for i, s := range list.GetServers() {
				self := f.Nodes()[i].Self()
				role := map[bool]string{true: "replica", false: "voter"}[self.SID == "c4"]
				if s.GetSid() != self.SID || s.GetNodeId() != self.NodeID || s.GetEpoch() != self.Epoch || s.GetAddr() != self.Addr ||
					s.GetStype() != "connector" || s.GetLeader() != (self.SID == leader) || s.GetRole() != role {
					t.Errorf("%v, want %+v", s, self)
				}
			}
			s, err := c.Status(ctx, &pb.StatusRequest{})
			must(t, err)
			if s.GetSid() != sid || s.GetLeader() != leader || !s.GetReady() || s.GetProblem() != "" || s.AgeMs == nil || s.GetAgeMs() > 1000 || s.GetStateHash() != "" ||
				s.GetLevel() != node.NewestLevel {
				t.Errorf("%v", s)
			}
		}
		pause(ctx, 2*time.Second) // from here on the ages would be measured again
		index, _ := f.Node("c1").Hash()
		var hashes []string
		for _, sid := range []string{"c1", "c4"} {
			s, err := client(t, ctx, f, sid).Status(ctx, &pb.StatusRequest{Hash: true})
			must(t, err)
			hashes = append(hashes, s.GetStateHash())
			if len(s.GetStateHash()) != 64 || s.GetApplied() != index {
				t.Errorf("%v at index %d: to ask for the hash moved it", s, index)
			}
		}
		if hashes[0] != hashes[1] {
			t.Errorf("states differ: %v", hashes)
		}
	})
}

func TestService_ErrorsKeepTheirIdentity(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		c := client(t, ctx, f, "c4")
		old := f.Node("c4").Self().Epoch
		f.Kill("c4")
		must(t, f.Restart("c4").Ready(ctx))
		add := func(r *pb.AddRequest) error {
			_, err := c.Add(ctx, r, grpc.WaitForReady(true))
			return node.FromStatus(err)
		}
		wantError(t, add(&pb.AddRequest{Name: "", Uid: "alice", Sid: "c1"}), node.ErrInvalidArgument, node.ErrRejected)
		wantError(t, add(&pb.AddRequest{Name: "world", Uid: "alice", Sid: "c9"}), node.ErrUnknownServer, node.ErrRejected)
		wantError(t, add(&pb.AddRequest{Name: "world", Uid: "alice", Sid: "c4", Epoch: old}), node.ErrServerGone, node.ErrRejected)

		stream, err := c.Members(ctx, &pb.MembersRequest{Name: "world", Sid: "c1", Stype: "connector"})
		must(t, err)
		_, err = stream.Recv()
		wantError(t, node.FromStatus(err), node.ErrInvalidArgument)

		f.Kill("c1", "c2", "c3")
		f.Eventually(ctx, func() error {
			if f.Node("c4").Status().LeaderNodeID != "" {
				return errors.New("a leader is known")
			}
			return nil
		})
		unbounded := context.WithoutCancel(ctx) // the node's own limit counts
		_, err = c.Servers(unbounded, &pb.ServersRequest{MinIndex: 1 << 40})
		wantOccasion(t, node.FromStatus(err), node.ErrReplicaBehind, context.DeadlineExceeded)
		_, err = c.Push(unbounded, &pb.PushRequest{Name: "world", Stype: "connector", Route: "r", MinIndex: 1 << 40})
		wantOccasion(t, node.FromStatus(err), node.ErrReplicaBehind, context.DeadlineExceeded)
		_, err = c.Add(unbounded, &pb.AddRequest{Name: "world", Uid: "alice", Sid: "c4"})
		wantError(t, node.FromStatus(err), node.ErrNotSent, node.ErrNoLeader, context.DeadlineExceeded)

		// A push's own limit counts for its wait, too.
		asked := time.Now()
		_, err = c.Push(unbounded, &pb.PushRequest{Name: "world", Stype: "connector", Route: "r", MinIndex: 1 << 40, TimeoutMs: 300})
		wantOccasion(t, node.FromStatus(err), node.ErrReplicaBehind)
		if took := time.Since(asked); took > 400*time.Millisecond {
			t.Errorf("a push of 300 ms took %v", took)
		}
		// The answer is on its way before the client's own deadline is over.
		err = timed(t, ctx, 300*time.Millisecond, func(ctx context.Context) error {
			_, err := c.Add(ctx, &pb.AddRequest{Name: "world", Uid: "alice", Sid: "c4"})
			return node.FromStatus(err)
		})
		wantError(t, err, node.ErrNotSent, node.ErrNoLeader, context.DeadlineExceeded)
	})
}

// wantOccasion is wantError for what is no write.
func wantOccasion(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error %v does not match %q", err, w)
		}
	}
}

func TestService_RunsOnTheHostsOwnServer(t *testing.T) {
	ctx := within(t)
	n, err := node.Start(ctx, server("c1", "connector"))
	must(t, err)
	defer func() { must(t, n.Close()) }()
	must(t, n.Ready(ctx))
	host := grpc.NewServer()
	n.RegisterAPI(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- host.Serve(l) }()
	defer func() { host.Stop(); <-served }()

	for _, addr := range []string{l.Addr().String(), n.Self().Addr} {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		must(t, err)
		c := pb.NewGlobalChannelClient(conn)
		_, err = c.Add(ctx, &pb.AddRequest{Name: "world", Uid: "alice", Sid: "c1"})
		must(t, err)
		if got, _ := listed(t, ctx, c, &pb.MembersRequest{Name: "world"}); !slices.Equal(got, []string{"alice@c1"}) {
			t.Errorf("%s: %v", addr, got)
		}
		must(t, conn.Close())
	}
}
