package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
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

	mu     sync.Mutex // guards all below
	starts int
	now    *process      // nil: it does not run
	up     chan struct{} // closed when it runs; nil: nobody waits
	addr   string
	conn   *grpc.ClientConn
}

func newServer(c *Cluster, cfg node.Config) *Server {
	s := &Server{cluster: c, cfg: cfg, dialling: make(chan struct{}, 1)}
	s.cfg.Logger = slog.New(s.log.handler())
	return s
}

// begin is a new process that has no node yet, and the config that its node is
// started with.
func (s *Server) begin() (*process, node.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	p := &process{sid: s.cfg.SID, start: s.starts, online: make(map[string]bool)}
	p.handler = workload.NewPushHandler(p.sid, p.start, p.Alive, s.cluster.history, rand.New(rand.NewPCG(s.cluster.seed, uint64(s.starts))))
	s.cluster.history.Note(history.Event{F: history.Started, Via: p.sid, Start: p.start})
	cfg := s.cfg
	cfg.OnFenced = func(_ context.Context, f node.Fenced) { s.fenced(p, f) }
	cfg.OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) { return p.handle(ctx, d), nil }
	if s.cluster.presence {
		cfg.Online = p.isOnline
	}
	return p, cfg
}

// runs opens the process to clients.
func (s *Server) runs(p *process, n *node.Node, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.addr != addr {
		_ = s.conn.Close() // whoever waits for it dials anew
		s.conn = nil
	}
	p.node, s.now, s.addr = n, p, addr
	if s.up != nil {
		close(s.up)
		s.up = nil
	}
}

// lives notes the life that the process has.
func (s *Server) lives() {
	s.mu.Lock()
	p := s.now
	s.mu.Unlock()
	self := p.node.Self()
	s.cluster.history.Note(history.Event{
		F: history.Life, SID: self.SID, SType: self.SType, Epoch: self.Epoch, Index: history.RegisteredAt(self.Epoch), Start: p.start, Incarnation: self.Incarnation,
	})
}

// fenced notes that a life was declared over, and which one the process has now.
func (s *Server) fenced(p *process, f node.Fenced) {
	if f.New == 0 {
		s.cluster.history.Note(history.Event{F: history.Ended, SID: p.sid, Epoch: f.Old})
		return
	}
	s.cluster.history.Note(history.Event{
		F: history.Resumed, SID: p.sid, Start: p.start, Epoch: f.Old, Next: f.New, Missed: f.Missed, Incarnation: f.Node.Self().Incarnation,
	})
}

// died is told right after the kill.
func (s *Server) died() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.die()
		s.now = nil
	}
}

// running is the node; nil: it does not run.
func (s *Server) running() *node.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	return s.now.node
}

// process waits for one that runs; nil: ctx ended.
func (s *Server) process(ctx context.Context) *process {
	for {
		s.mu.Lock()
		p := s.now
		if p == nil && s.up == nil {
			s.up = make(chan struct{})
		}
		up := s.up
		s.mu.Unlock()
		if p != nil {
			return p
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
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
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown: // it never leaves that state
			return fmt.Errorf("%s has moved", s.cfg.SID)
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
	conn, addr := s.conn, s.addr
	s.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	fresh, err := transport.DialClient(ctx, addr, nil, s.cluster.clients)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr != addr {
		return nil, errors.Join(fmt.Errorf("%s has moved", s.cfg.SID), fresh.Close())
	}
	s.conn = fresh
	return fresh, nil
}

func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}
