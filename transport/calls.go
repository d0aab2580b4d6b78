package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	maxMessage    = 8 << 20
	maxHeaderList = 64 << 10
	maxStreams    = 4096 // per connection; gRPC's default is no limit

	// Both ends look after the connection: a half-open one is found within 15 s
	// even while nobody calls. The server must allow what the client does, or it
	// cuts it off (too_many_pings).
	pingAfter     = 10 * time.Second
	pingTimeout   = 5 * time.Second
	pingTolerated = 5 * time.Second

	idleAfter = 10 * time.Minute // without a call a connection is closed, by the client
	maxIdle   = 20 * time.Minute // and if that does not, by the server

	closeCalls = 5 * time.Second // Close waits no longer for handlers that ignore the end of their context
)

// callServer is the gRPC server behind the mux.
type callServer struct {
	grpc     *grpc.Server
	queue    *queue
	accepted *connSet
	draining sync.Once
	ended    chan struct{} // closed when no call runs any more, after drain
}

func newCallServer(o Options, secure bool, known func(string) bool, accepted *connSet, q *queue) *callServer {
	g := &guard{known: known, log: o.Logger}
	server := grpc.NewServer(
		grpc.Creds(handshaken{tls: secure}),
		grpc.ConnectionTimeout(o.HandshakeTimeout),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaderList), grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout, MaxConnectionIdle: maxIdle}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingTolerated, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(g.unary), grpc.StreamInterceptor(g.stream),
	)
	return &callServer{grpc: server, queue: q, accepted: accepted, ended: make(chan struct{})}
}

// drain stops taking calls. The goroutine ends with the last running one.
func (s *callServer) drain() {
	s.draining.Do(func() {
		go func() {
			defer close(s.ended)
			s.grpc.GracefulStop()
		}()
	})
}

// cut ends all connections under the running calls, whose contexts end then.
// The connections go first: Stop would wait for a client that is slow with its
// preface.
func (s *callServer) cut() {
	_ = s.queue.Close()
	s.accepted.cut(protocolHTTP2)
	s.grpc.Stop()
}

// endStreams lets running calls finish until ctx ends.
func (s *callServer) endStreams(ctx context.Context) {
	s.drain()
	select {
	case <-s.ended:
	case <-ctx.Done():
		s.cut()
	}
}

// close is endStreams at once, and waits for the handlers.
func (s *callServer) close() error {
	s.drain()
	s.cut()
	timer := time.NewTimer(closeCalls)
	defer timer.Stop()
	select {
	case <-s.ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("a call still runs %v after the end of its context", closeCalls)
	}
}

// guard stands before every handler: it knows which role a method wants, and
// keeps a panic inside the call that caused it.
type guard struct {
	known func(nodeID string) bool // nil: all
	log   *slog.Logger
}

func (g *guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	if err := g.allow(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	defer g.recover(info.FullMethod, &err)
	return handler(ctx, req)
}

func (g *guard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	if err := g.allow(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	defer g.recover(info.FullMethod, &err)
	return handler(srv, stream)
}

func (g *guard) allow(ctx context.Context, method string) error {
	if !strings.HasPrefix(method, "/"+peerpb.Peer_ServiceDesc.ServiceName+"/") {
		return nil
	}
	id, role := PeerRole(ctx)
	if role != RoleNode {
		return status.Errorf(codes.PermissionDenied, "%s is for servers of the cluster, the caller is a %s", method, role)
	}
	if g.known == nil || introduction(method) || g.known(id) {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "%s: node %s is not a server of this cluster", method, id)
}

// introduction is a call by which a stranger becomes a known server.
func introduction(method string) bool {
	switch method {
	case peerpb.Peer_Promise_FullMethodName, peerpb.Peer_Join_FullMethodName, peerpb.Peer_Ping_FullMethodName:
		return true
	}
	return false
}

// recover must be deferred itself.
func (g *guard) recover(method string, err *error) {
	if r := recover(); r != nil {
		g.log.Error("a call panicked", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "%s panicked", method)
	}
}
