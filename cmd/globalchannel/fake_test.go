package main

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// fake is a public service that answers what a test wants, and keeps what it was
// asked.
type fake struct {
	pb.UnimplementedGlobalChannelServer
	fail    error // of Add, Leave, LeaveAll, Destroy, Members, TransferLeader, RemoveServer
	members [][]*pb.Member
	push    *pb.PushResponse
	servers []*pb.Server
	names   []string // of channels, sorted
	explain *pb.ExplainResponse

	lifeless []*pb.Server
	transfer *pb.TransferLeaderResponse
	removed  *pb.RemoveServerResponse

	status *pb.StatusResponse
	hang   bool // Add waits for its context
	attach func(pb.GlobalChannel_AttachServer) error

	mu    sync.Mutex // guards asked
	asked []any
}

// startFake serves f at a free port until the test ends.
func startFake(t *testing.T, f *fake) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := serveFake(f, l)
	t.Cleanup(stop)
	return l.Addr().String()
}

func serveFake(f *fake, l net.Listener) (stop func()) {
	s := grpc.NewServer()
	pb.RegisterGlobalChannelServer(s, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // nil after Stop
	}()
	return func() {
		s.Stop()
		<-done
	}
}

func (f *fake) ask(r any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
}

// last is the newest request.
func (f *fake) last(t *testing.T) any {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		t.Fatal("the service was not asked")
	}
	return f.asked[len(f.asked)-1]
}

func (f *fake) write(ctx context.Context, r any) (*pb.WriteResponse, error) {
	f.ask(r)
	if f.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.WriteResponse{Index: 42}, f.fail
}

func (f *fake) Add(ctx context.Context, r *pb.AddRequest) (*pb.WriteResponse, error) {
	return f.write(ctx, r)
}

func (f *fake) Leave(ctx context.Context, r *pb.LeaveRequest) (*pb.WriteResponse, error) {
	return f.write(ctx, r)
}

func (f *fake) LeaveAll(ctx context.Context, r *pb.LeaveAllRequest) (*pb.WriteResponse, error) {
	return f.write(ctx, r)
}

func (f *fake) Destroy(ctx context.Context, r *pb.DestroyRequest) (*pb.WriteResponse, error) {
	return f.write(ctx, r)
}

func (f *fake) DestroyAll(ctx context.Context, r *pb.DestroyAllRequest) (*pb.WriteResponse, error) {
	return f.write(ctx, r)
}

func (f *fake) Members(r *pb.MembersRequest, stream grpc.ServerStreamingServer[pb.MembersResponse]) error {
	f.ask(r)
	for _, chunk := range f.members {
		if err := stream.Send(&pb.MembersResponse{Index: 42, Members: chunk}); err != nil {
			return err
		}
	}
	return f.fail
}

func (f *fake) Channels(_ context.Context, r *pb.ChannelsRequest) (*pb.ChannelsResponse, error) {
	f.ask(r)
	from, found := slices.BinarySearch(f.names, r.After)
	if found {
		from++
	}
	rest := f.names[from:]
	return &pb.ChannelsResponse{Index: 42, Names: rest[:min(len(rest), int(r.Limit))]}, f.fail
}

func (f *fake) Explain(_ context.Context, r *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	f.ask(r)
	return f.explain, f.fail
}

func (f *fake) Push(_ context.Context, r *pb.PushRequest) (*pb.PushResponse, error) {
	f.ask(r)
	return f.push, nil
}

func (f *fake) Servers(_ context.Context, r *pb.ServersRequest) (*pb.ServersResponse, error) {
	f.ask(r)
	return &pb.ServersResponse{Index: 42, Servers: f.servers, Lifeless: f.lifeless, LastIndex: 41, LastIndexOf: "connector-1"}, nil
}

func (f *fake) TransferLeader(_ context.Context, r *pb.TransferLeaderRequest) (*pb.TransferLeaderResponse, error) {
	f.ask(r)
	return f.transfer, f.fail
}

func (f *fake) RemoveServer(_ context.Context, r *pb.RemoveServerRequest) (*pb.RemoveServerResponse, error) {
	f.ask(r)
	return f.removed, f.fail
}

func (f *fake) Status(_ context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	f.ask(r)
	if f.status == nil {
		return nil, status.Error(codes.Unimplemented, "no status here")
	}
	return f.status, nil
}

func (f *fake) Attach(stream pb.GlobalChannel_AttachServer) error { return f.attach(stream) }

// serviceError is an error as the service sends it.
func serviceError(t *testing.T, code codes.Code, reason, class, text string) error {
	t.Helper()
	st, err := status.New(code, text).WithDetails(&errdetails.ErrorInfo{
		Domain: "globalchannel", Reason: reason, Metadata: map[string]string{"class": class},
	})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}
