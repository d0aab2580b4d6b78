package sim

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Server is one sid over all its processes. It is a workload.Server.
type Server struct {
	cluster *Cluster
	cfg     node.Config
	log     journal

	dialling chan struct{} // one slot. Not a mutex: in a bubble time would stand still for whoever waits

	mu   sync.Mutex // guards all below
	addr string
	node *node.Node // nil: it does not run
	conn *grpc.ClientConn
	to   string // where conn goes
}

func newServer(c *Cluster, cfg node.Config) *Server {
	s := &Server{cluster: c, cfg: cfg, dialling: make(chan struct{}, 1)}
	s.cfg.Logger = slog.New(s.log.handler())
	return s
}

// begin is what the next process is started with.
func (s *Server) begin() node.Config {
	s.cluster.history.Note(history.Event{F: history.Started, Via: s.cfg.SID})
	return s.cfg
}

func (s *Server) runs(n *node.Node, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node, s.addr = n, addr
}

func (s *Server) died() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = nil
}

// ID implements workload.Server.
func (s *Server) ID() string { return s.cfg.SID }

// Client implements workload.Server. Before the first Connect there is none.
func (s *Server) Client() (pb.GlobalChannelClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil, fmt.Errorf("no connection to %s yet", s.cfg.SID)
	}
	return pb.NewGlobalChannelClient(s.conn), nil
}

// Connect implements workload.Server.
func (s *Server) Connect(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	for {
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("connection is %v: %w", state, context.Cause(ctx))
		}
	}
}

// dial gives the connection to where the server is now.
func (s *Server) dial(ctx context.Context) (*grpc.ClientConn, error) {
	select {
	case s.dialling <- struct{}{}:
		defer func() { <-s.dialling }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	conn, to, addr := s.conn, s.to, s.addr
	s.mu.Unlock()
	if conn != nil && to == addr {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	fresh, err := transport.DialClient(ctx, addr, nil, s.cluster.clients)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.conn, s.to = fresh, addr
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	return fresh, nil
}

func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
