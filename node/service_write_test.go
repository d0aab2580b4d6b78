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
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func pbAdd(name, uid, sid string) *pb.Op {
	return &pb.Op{Kind: pb.OpKind_OP_KIND_ADD, Name: name, Uid: uid, Sid: sid}
}

func TestService_AppliesGroupsAndLeavesAll(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for _, sid := range []string{"c1", "c4"} {
			c := client(t, ctx, f, sid)
			session := func(op *pb.Op, token uint64) *pb.Op { op.Session = token; return op }
			r, err := c.Apply(ctx, &pb.ApplyRequest{Ops: []*pb.Op{
				pbAdd("world", "alice", "c1"), session(pbAdd("team", "alice", "c1"), 2), pbAdd("world", "alice", "c2"), pbAdd("world", "alice", "c2"),
				{Kind: pb.OpKind_OP_KIND_LEAVE, Name: "team", Uid: "alice", Sid: "c1", Session: 1}, {Kind: pb.OpKind_OP_KIND_DESTROY, Name: "nothing"},
			}})
			must(t, err)
			if want := []bool{true, true, true, false, false, false}; !slices.Equal(r.GetChanged(), want) || r.GetIndex() == 0 || r.GetIndex() > f.Node(sid).Index() {
				t.Errorf("%s: %v at %d, want %v", sid, r, f.Node(sid).Index(), want)
			}
			w, err := c.LeaveAll(ctx, &pb.LeaveAllRequest{Uid: "alice", Sid: "c1", Session: 1})
			must(t, err)
			for name, want := range map[string][]string{"world": {"alice@c2"}, "team": {"alice@c1"}} {
				if got, _ := listed(t, ctx, c, &pb.MembersRequest{Name: name, MinIndex: w.GetIndex()}); !slices.Equal(got, want) {
					t.Errorf("%s: %s has %v, want %v", sid, name, got, want)
				}
			}
			w, err = c.LeaveAll(ctx, &pb.LeaveAllRequest{Uid: "alice", Sid: "c1"})
			must(t, err)
			if got, _ := listed(t, ctx, c, &pb.MembersRequest{Name: "team", MinIndex: w.GetIndex()}); len(got) != 0 {
				t.Errorf("%s: team has %v", sid, got)
			}
			_, err = c.DestroyAll(ctx, &pb.DestroyAllRequest{})
			must(t, err)
			r, err = c.Apply(ctx, &pb.ApplyRequest{})
			if err != nil || r.GetIndex() < w.GetIndex() {
				t.Errorf("%s: nothing, applied: %v, %v", sid, r, err)
			}
		}
	})
}

func TestService_RefusedGroupNamesItsOperation(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		old := f.Node("c4").Self().Epoch
		f.Kill("c4")
		must(t, f.Restart("c4").Ready(ctx))
		c := client(t, ctx, f, "c1")
		apply := func(ops ...*pb.Op) error {
			_, err := c.Apply(ctx, &pb.ApplyRequest{Ops: ops})
			return node.FromStatus(err)
		}
		past := pbAdd("world", "alice", "c4")
		past.Epoch = old
		ok := pbAdd("world", "bob", "c1")
		for _, r := range []struct {
			ops  []*pb.Op
			i    int
			want error
			text string
		}{
			{[]*pb.Op{ok, pbAdd("world", "alice", "c9"), past}, 1, node.ErrUnknownServer, `"c9" never registered`},
			{[]*pb.Op{ok, ok, past}, 2, node.ErrServerGone, `"c4"`},
			{[]*pb.Op{pbAdd("world", "", "c1"), ok}, 0, node.ErrInvalidArgument, "uid"},
			{[]*pb.Op{ok, {Kind: pb.OpKind_OP_KIND_LEAVE_ALL, Name: "world", Uid: "alice", Sid: "c1"}}, 1, node.ErrInvalidArgument, "name"},
			{[]*pb.Op{ok, {}}, 1, node.ErrInvalidArgument, "kind"},
			{[]*pb.Op{ok, {Kind: 4, Name: "world", Uid: "alice", Sid: "c1"}}, 1, node.ErrUnsupported, "kind 4"},
			{[]*pb.Op{ok, {Kind: 256 + 5, Name: "world"}}, 1, node.ErrUnsupported, "kind"},
			{[]*pb.Op{ok, {Kind: -1, Name: "world"}}, 1, node.ErrUnsupported, "kind"},
			{[]*pb.Op{ok, {Kind: 7}}, 1, node.ErrUnsupported, "kind 7"}, // would empty the cluster
		} {
			err := apply(r.ops...)
			wantError(t, err, r.want, node.ErrAborted, node.ErrRejected)
			var refused *node.OpError
			if !errors.As(err, &refused) || refused.I != r.i || !errors.Is(refused.Err, r.want) || errors.Is(refused.Err, node.ErrAborted) {
				t.Errorf("%v: %+v, want operation %d", err, refused, r.i)
			}
			if text := fmt.Sprint(err); !strings.Contains(text, r.text) || strings.Count(text, fmt.Sprintf("ops[%d]: ", r.i)) != 1 {
				t.Errorf("%q does not name position %d, once, and %s", text, r.i, r.text)
			}
		}
		many := make([]*pb.Op, 4097)
		for i := range many {
			many[i] = ok
		}
		err := apply(many...)
		wantError(t, err, node.ErrInvalidArgument, node.ErrRejected)
		if errors.Is(err, node.ErrAborted) {
			t.Errorf("no operation is at fault, but: %v", err)
		}
		if got := members(t, ctx, f.Node("c1"), "world"); len(got) != 0 {
			t.Errorf("world has %v", got)
		}
	})
}

// What gRPC itself says of a write is of one class, too.
func TestFromStatus_GivesErrorsOfGRPCAClass(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		conn, err := transport.DialClient(ctx, f.Address("c1"), nil, f.Network())
		must(t, err)
		defer conn.Close()
		c := pb.NewGlobalChannelClient(conn)
		add := func(ctx context.Context) error {
			_, err := c.Add(ctx, &pb.AddRequest{Name: "world", Uid: "alice", Sid: "c1"})
			return node.FromStatus(err)
		}
		err = node.FromStatus(conn.Invoke(ctx, "/globalchannel.v1.GlobalChannel/Rename", &pb.AddRequest{}, &pb.WriteResponse{}))
		wantError(t, err, node.ErrRejected)
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%v has lost gRPC's code", err)
		}

		f.Kill("c2", "c3") // from here on no write comes to an end
		cancelled, cancel := context.WithCancel(ctx)
		time.AfterFunc(10*time.Millisecond, cancel)
		wantError(t, add(cancelled), node.ErrOutcomeUnknown, context.Canceled)
		over, cancel := context.WithDeadline(ctx, time.Now())
		defer cancel()
		wantError(t, add(over), node.ErrOutcomeUnknown, context.DeadlineExceeded)
		time.AfterFunc(10*time.Millisecond, func() { f.Kill("c1") })
		wantError(t, add(ctx), node.ErrOutcomeUnknown) // the connection broke
		err = add(ctx)
		wantError(t, err, node.ErrOutcomeUnknown) // and does not come up again
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%v has lost gRPC's code", err)
		}
	})
}

func TestFromStatus_LeavesTheRestAlone(t *testing.T) {
	text := "the text stays"
	for code, class := range map[codes.Code]error{
		codes.Unimplemented: node.ErrRejected, codes.InvalidArgument: node.ErrRejected,
		codes.Unauthenticated: node.ErrRejected, codes.PermissionDenied: node.ErrRejected,
		codes.Unavailable: node.ErrOutcomeUnknown, codes.Internal: node.ErrOutcomeUnknown, codes.Unknown: node.ErrOutcomeUnknown,
		codes.ResourceExhausted: node.ErrOutcomeUnknown, // too large may have been the answer
	} {
		was := status.Error(code, text)
		err := node.FromStatus(was)
		wantError(t, err, class, was)
		if err.Error() != was.Error() {
			t.Errorf("%q became %q", was, err)
		}
		wantError(t, node.FromStatus(err), class)
	}
	own := fmt.Errorf("%w: %w", node.ErrNotSent, status.Error(codes.Unavailable, text))
	for _, err := range []error{nil, io.EOF, context.Canceled, own} {
		if got := node.FromStatus(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
