package fleetsize

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/transport/ports"
)

// bench collects samples.
type bench struct {
	options Options
	space   *fleet.Workspace
	log     io.Writer // progress, for people

	idle, load       *phase
	idleLag, loadLag []float64 // ms
	empty, stocked   arrivals
	kills            []float64 // ms
}

// run measures everything. On failure what was measured before is still there.
func (b *bench) run(ctx context.Context) error {
	if b.options.Idle+b.options.Load > 0 || b.options.Starts > 0 {
		if err := b.inFleet(ctx); err != nil {
			return err
		}
	}
	if b.options.Kills > 0 {
		return b.failovers(ctx)
	}
	return nil
}

func (b *bench) inFleet(ctx context.Context) (err error) {
	s, err := b.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	for _, part := range []func(context.Context, *ships) error{b.watchIdle, b.watchLoad, b.arrivals} {
		if err := part(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// ships are the two processes of a fleet.
type ships struct {
	leader *fleet.Server
	others *fleet.Server // all in one process
	addr   string        // of the leader
}

func (s *ships) kill() {
	s.leader.Kill()
	s.others.Kill()
}

const (
	startTimeout = 3 * time.Minute // of a whole fleet
	lookEvery    = 500 * time.Millisecond
	memoryStore  = "boltdb" // says nothing without a data directory
)

// start founds the cluster with the leader alone and has the others join, so that
// the leader leads.
func (b *bench) start(ctx context.Context) (*ships, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b.progress("start %d voters and %d replicas", b.options.Voters, b.options.Replicas)
	addrs, err := ports.Free(b.options.Voters)
	if err != nil {
		return nil, err
	}
	leader, err := b.space.Process("leader")
	if err != nil {
		return nil, err
	}
	others, err := b.space.Process("others")
	if err != nil {
		return nil, err
	}
	s := &ships{&fleet.Server{Process: leader, Name: "leader"}, &fleet.Server{Process: others, Name: "others"}, addrs[0]}
	voters, err := b.voters(addrs)
	if err != nil {
		return nil, err
	}
	if err := leader.Call(ctx, server.OpenNode, voters[0], nil); err != nil {
		return nil, err
	}
	crew := server.Crew{Nodes: append(voters[1:], replicas(b.options.Replicas, addrs[:1])...)}
	if err := others.Call(ctx, server.OpenCrew, crew, nil); err != nil {
		return nil, err
	}
	return s, b.settle(ctx, s)
}

// voters are the leader and those that are to vote beside it.
func (b *bench) voters(addrs []string) ([]server.Node, error) {
	var nodes []server.Node
	for i, addr := range addrs {
		n := server.Node{SID: fmt.Sprintf("voter-%d", i+1), Listen: addr, Store: memoryStore}
		if i == 0 {
			n.Expect, n.Counted = 1, true
		} else {
			n.Join = addrs[:1]
		}
		if b.options.Disk {
			n.DataDir = filepath.Join(b.space.Dir, n.SID)
			if err := os.Mkdir(n.DataDir, 0o700); err != nil {
				return nil, fmt.Errorf("make data directory: %w", err)
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// replicas are servers that never vote, at any free port.
func replicas(n int, join []string) []server.Node {
	var nodes []server.Node
	for i := range n {
		nodes = append(nodes, server.Node{SID: fmt.Sprintf("replica-%d", i+1), Join: join, NonVoter: true, Store: memoryStore})
	}
	return nodes
}

// settle waits until all that are to vote do.
func (b *bench) settle(ctx context.Context, s *ships) error {
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		v, err := s.others.Look(ctx)
		if err != nil {
			return err
		}
		if v.Voters == b.options.Voters-1 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d servers vote: %w", v.Voters+1, b.options.Voters, context.Cause(ctx))
		}
	}
}

// leads returns the term in which the leader leads.
func (s *ships) leads(ctx context.Context) (term uint64, err error) {
	v, err := s.leader.Look(ctx)
	if err != nil {
		return 0, err
	}
	if !v.Leads {
		return v.Term, errDeposed
	}
	return v.Term, nil
}

// errDeposed makes an end: what the leader's process spends is not what a leader
// spends any more.
var errDeposed = errors.New("an election made another server leader")

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...) // nobody to tell
}

// meters reads what both processes have spent.
func (s *ships) meters(ctx context.Context) (leader, others server.Meter, err error) {
	if err := s.leader.Call(ctx, server.Read, proc.None{}, &leader); err != nil {
		return leader, others, err
	}
	err = s.others.Call(ctx, server.Read, proc.None{}, &others)
	return leader, others, err
}
