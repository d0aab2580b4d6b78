package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Spec is what a server is started as.
type Spec struct {
	SID, SType string
	Founder    bool // one of those that found the cluster; the others only join
	NonVoter   bool
	LogStore   string        // as --log-store has it; "": the default
	ReapAfter  time.Duration // as --reap-after has it; 0: the default. The founders' counts, for all
}

// Server is one server of a cluster over all its processes. Starting and ending
// it is for one goroutine; the client may be used by any.
type Server struct {
	Spec
	Addr, Dir string
	Log       *Output // of all its processes

	cluster *Cluster
	process *Process
	starts  atomic.Int64 // of processes, so far
	ended   bool         // by us
	paused  bool

	mu   sync.Mutex // guards conn, and Addr where it changes (Move)
	conn *grpc.ClientConn
}

// Args are those of the agent command.
func (s *Server) Args() []string {
	args := []string{
		"agent", "--id", s.SID, "--type", s.SType, "--data", s.Dir, "--listen", s.Addr,
		"--join", strings.Join(s.cluster.addrs, ","),
	}
	if s.Founder {
		args = append(args, "--expect", strconv.Itoa(s.cluster.founders))
	}
	if s.NonVoter {
		args = append(args, "--non-voter")
	}
	if s.ReapAfter != 0 {
		args = append(args, "--reap-after", s.ReapAfter.String())
	}
	if s.LogStore != "" {
		args = append(args, "--log-store", s.LogStore)
	}
	return append(append(args, s.cluster.flags...), s.cluster.SecretFlag()...)
}

// Runs says whether its process is there and goes on, as far as we did to it.
func (s *Server) Runs() bool { return s.process != nil && !s.ended && !s.paused }

// Start starts the process and does not wait for it.
func (s *Server) Start() error {
	if s.process != nil && !s.ended {
		return fmt.Errorf("%s runs already, or ended by itself", s.SID)
	}
	s.Log.Mark("start of %s", s.SID)
	// Before the process can do anything.
	s.cluster.note(history.Event{F: history.Started, Via: s.SID, Start: int(s.starts.Add(1))})
	var p *Process
	if err := s.cluster.on(s.SID, func() (err error) {
		p, err = s.cluster.binary.start(s.Log, s.Log, s.cluster.env, s.Args())
		return err
	}); err != nil {
		return fmt.Errorf("start %s: %w", s.SID, err)
	}
	s.process, s.ended, s.paused = p, false, false
	return nil
}

// Ready waits until the public service answers, with a life that is registered,
// and returns that status.
func (s *Server) Ready(ctx context.Context) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := s.process.Ended()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-ended:
			cancel(errors.New("the process has ended"))
		case <-stop:
		}
	}()
	var status *pb.StatusResponse
	err := Await(ctx, s.SID+" to be ready", func(ctx context.Context) (err error) {
		if err = s.Connect(ctx); err != nil {
			return err
		}
		status, err = s.Status(ctx, false)
		if err == nil && !status.GetReady() {
			err = fmt.Errorf("not ready: %s", status.GetProblem())
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w; the log of %s ends with:\n%s", err, s.SID, s.Log.Tail(15))
	}
	s.cluster.note(history.Event{
		F: history.Life, SID: s.SID, SType: s.SType, Epoch: status.GetEpoch(), Index: history.RegisteredAt(status.GetEpoch()), Start: int(s.starts.Load()),
	})
	return status, nil
}

// Status asks the server how it is.
func (s *Server) Status(ctx context.Context, hash bool) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // a paused one answers never
	defer cancel()
	client, err := s.Client()
	if err != nil {
		return nil, err
	}
	r, err := client.Status(ctx, &pb.StatusRequest{Hash: hash})
	if err != nil {
		return nil, fmt.Errorf("status of %s: %w", s.SID, err)
	}
	return r, nil
}

// Transfer has this server, which leads, give leadership to any voter that can take it.
func (s *Server) Transfer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := s.Client()
	if err != nil {
		return err
	}
	s.note("gives leadership away")
	_, err = client.TransferLeader(ctx, &pb.TransferLeaderRequest{})
	return err
}

// ID is the sid.
func (s *Server) ID() string { return s.SID }

// Client is the one connection of this harness to the server's public service. It
// outlives the server's processes. Before the first Connect there is none.
func (s *Server) Client() (pb.GlobalChannelClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil, fmt.Errorf("no connection to %s yet", s.SID)
	}
	return pb.NewGlobalChannelClient(s.conn), nil
}

// Connect returns when the connection stands. It fails with ctx, when the server
// moves, and where there was no connection yet.
func (s *Server) Connect(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	return connected(ctx, conn)
}

func (s *Server) dial(ctx context.Context) (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return s.conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := transport.DialClient(ctx, s.Addr, s.cluster.secret, nil)
	if err != nil {
		return nil, err
	}
	s.conn = conn
	return conn, nil
}

const dialTime = 2 * time.Second

func connected(ctx context.Context, conn *grpc.ClientConn) error {
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown: // it never leaves that state
			return errors.New("the connection was closed: the server moves")
		}
		conn.Connect()
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("connection is %v: %w", state, context.Cause(ctx))
		}
	}
}

// Kill is SIGKILL. It returns when the process is gone.
func (s *Server) Kill() {
	s.note("SIGKILL")
	s.ended = true
	s.process.Kill()
}

// Pause is SIGSTOP.
func (s *Server) Pause() error {
	s.note("SIGSTOP")
	s.paused = true
	return s.process.Signal(syscall.SIGSTOP)
}

// Resume is SIGCONT.
func (s *Server) Resume() error {
	s.note("SIGCONT")
	s.paused = false
	return s.process.Signal(syscall.SIGCONT)
}

// Terminate is SIGTERM; it returns the exit code.
func (s *Server) Terminate(ctx context.Context) (code int, err error) {
	s.note("SIGTERM")
	s.ended = true
	return s.process.Terminate(ctx)
}

func (s *Server) note(fault string) {
	s.Log.Mark("%s to %s", fault, s.SID)
	s.cluster.note(history.Event{F: history.Fault, Via: s.SID, Text: fault})
}

// close ends the process and says what was wrong with it.
func (s *Server) close() (err error) {
	if s.process != nil {
		select {
		case <-s.process.Ended():
			if !s.ended {
				err = fmt.Errorf("%s ended by itself: %v", s.SID, s.process.cmd.ProcessState)
			}
		default:
		}
		s.process.Kill()
	}
	if line := s.Log.crashed(); line != "" {
		err = errors.Join(err, fmt.Errorf("%s wrote: %s", s.SID, line))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		err = errors.Join(err, s.conn.Close())
		s.conn = nil
	}
	return err
}

// dataDir is below the cluster's directory.
func dataDir(clusterDir, sid string) string { return filepath.Join(clusterDir, "data-"+sid) }
