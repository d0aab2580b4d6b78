package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/transport/ports"
)

const (
	servers      = 3           // of those that are compared
	startTimeout = time.Minute // until a cluster, or a server that was restarted, is there
	lookEvery    = 20 * time.Millisecond
)

// Server is one process of a cluster.
type Server struct {
	*proc.Process
	Name string

	open func(context.Context, *proc.Process) error // what the process is told first
}

// Cluster is servers that belong together. Its methods belong to one goroutine.
type Cluster struct {
	Servers []*Server
	Addrs   []string

	space *Workspace
	dirs  []string
}

// StartNodes starts a cluster of three servers of globalchannel with that log
// store, and waits until all of them are ready.
func (w *Workspace) StartNodes(ctx context.Context, store string) (*Cluster, error) {
	return w.StartVoters(ctx, store, servers)
}

// StartVoters starts a cluster of so many.
func (w *Workspace) StartVoters(ctx context.Context, store string, n int) (*Cluster, error) {
	addrs, err := ports.Free(n)
	if err != nil {
		return nil, err
	}
	return w.startCluster(ctx, "node-"+store, addrs, func(i int, dir string) (name, do string, args any) {
		name = fmt.Sprintf("bench-%d", i+1)
		return name, server.OpenNode, server.Node{SID: name, Listen: addrs[i], Join: addrs, Expect: len(addrs), DataDir: dir, Store: store}
	})
}

// StartRaft starts a cluster of bare Raft, and waits for its leader.
func (w *Workspace) StartRaft(ctx context.Context, store string) (*Cluster, error) {
	addrs, err := ports.Free(servers)
	if err != nil {
		return nil, err
	}
	return w.startCluster(ctx, "raft-"+store, addrs, func(i int, dir string) (name, do string, args any) {
		return addrs[i], server.OpenRaft, server.Raft{Addr: addrs[i], Servers: addrs, DataDir: dir, Store: store}
	})
}

// startCluster starts the processes side by side: none is ready before a majority is.
func (w *Workspace) startCluster(ctx context.Context, kind string, addrs []string, of func(i int, dir string) (name, do string, args any)) (*Cluster, error) {
	c := &Cluster{Addrs: addrs, space: w}
	for i := range addrs {
		dir, err := w.dataDir(kind)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		name, do, args := of(i, dir)
		c.dirs = append(c.dirs, dir)
		c.Servers = append(c.Servers, &Server{Name: name, open: func(ctx context.Context, p *proc.Process) error {
			return p.Call(ctx, do, args, nil)
		}})
	}
	errs := make([]error, len(addrs))
	var all sync.WaitGroup
	for i, s := range c.Servers {
		all.Go(func() { errs[i] = c.Start(ctx, s) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Start runs the process of a server that has none, or whose process is gone, with
// the same address and data directory. It returns when the server is ready.
func (c *Cluster) Start(ctx context.Context, s *Server) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := c.space.group.Start(s.Name)
	if err != nil {
		return err
	}
	s.Process = p
	return s.open(ctx, p)
}

// ErrNoLeader is the end of a wait for one.
var ErrNoLeader = errors.New("the servers do not agree on a leader")

// Leader waits until all servers see the same leader in the same term.
func (c *Cluster) Leader(ctx context.Context) (*Server, server.View, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, ErrNoLeader)
	defer cancel()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		leader, view, err := c.agreed(ctx)
		if err != nil || leader != nil {
			return leader, view, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, server.View{}, context.Cause(ctx)
		}
	}
}

// agreed returns no leader if the servers see different ones.
func (c *Cluster) agreed(ctx context.Context) (leader *Server, view server.View, err error) {
	term, name := uint64(0), ""
	for i, s := range c.Servers {
		v, err := s.Look(ctx)
		if err != nil {
			return nil, v, err
		}
		if i == 0 {
			term, name = v.Term, v.Leader
		}
		if v.Leader == "" || v.Leader != name || v.Term != term {
			return nil, v, nil
		}
		if v.Leads {
			leader, view = s, v
		}
	}
	return leader, view, nil
}

// Look asks the server what it sees.
func (s *Server) Look(ctx context.Context) (server.View, error) {
	var v server.View
	err := s.Call(ctx, server.Look, proc.None{}, &v)
	return v, err
}

// Others are the servers but s.
func (c *Cluster) Others(s *Server) []*Server {
	var others []*Server
	for _, o := range c.Servers {
		if o != s {
			others = append(others, o)
		}
	}
	return others
}

// Meter adds up what all servers have spent.
func (c *Cluster) Meter(ctx context.Context) (server.Meter, error) {
	var sum server.Meter
	for _, s := range c.Servers {
		var m server.Meter
		if err := s.Call(ctx, server.Read, proc.None{}, &m); err != nil {
			return sum, err
		}
		sum.CPU += m.CPU
		sum.Appends += m.Appends
	}
	return sum, nil
}

// Close ends the processes, without goodbyes, and removes their data.
func (c *Cluster) Close() error {
	for _, s := range c.Servers {
		if s.Process != nil {
			s.Kill()
		}
	}
	var errs []error
	for _, dir := range c.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}
