package ancestor

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor/ancestorpb"
)

// Handler hands a push to the sessions of a frontend, and names those that are offline.
type Handler func(route string, msg []byte, uids []string) (offline []string)

// Server is a frontend's side.
type Server struct {
	Addr string // host:port where it serves

	grpc  *grpc.Server
	ended chan struct{} // closed when it has stopped serving
}

type service struct {
	ancestorpb.UnimplementedFrontendServer
	handle Handler
}

// Push implements ancestorpb.FrontendServer.
func (s service) Push(_ context.Context, r *ancestorpb.PushRequest) (*ancestorpb.PushReply, error) {
	return &ancestorpb.PushReply{Offline: s.handle(r.Route, r.Msg, r.Uids)}, nil
}

// Serve begins at any free port of loopback.
func Serve(ctx context.Context, h Handler) (*Server, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve pushes: %w", err)
	}
	s := &Server{Addr: l.Addr().String(), grpc: grpc.NewServer(), ended: make(chan struct{})}
	ancestorpb.RegisterFrontendServer(s.grpc, service{handle: h})
	go func() {
		defer close(s.ended)
		_ = s.grpc.Serve(l) // it ends with Close, which is no error, or with the listener
	}()
	return s, nil
}

// Close ends it, and all calls that are being answered.
func (s *Server) Close() {
	s.grpc.Stop()
	<-s.ended
}
