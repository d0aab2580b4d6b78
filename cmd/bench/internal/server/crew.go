package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/node"
)

// crew is many nodes in one process. What only one node can be asked is asked of
// the last.
type crew struct {
	*channelNode
	all []*channelNode
}

// opening is how many nodes of a crew start at once: each waits for the leader,
// which admits one after the other.
const opening = 8

func (c *child) openCrew(ctx context.Context, o Crew) (proc.None, error) {
	crowd := load.NewCrowd("")
	nodes := make([]*channelNode, len(o.Nodes))
	errs := make([]error, len(o.Nodes))
	places := make(chan struct{}, opening)
	var starting sync.WaitGroup
	for i, n := range o.Nodes {
		places <- struct{}{}
		starting.Go(func() {
			defer func() { <-places }()
			nodes[i], errs[i] = c.startNode(ctx, n, crowd, nil)
		})
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return proc.None{}, errors.Join(err, closeAll(nodes))
	}
	if err := c.open(&crew{nodes[len(nodes)-1], nodes}); err != nil {
		return proc.None{}, errors.Join(err, closeAll(nodes))
	}
	return proc.None{}, nil
}

// step spreads the callers over the nodes.
func (w *crew) step(l Load) (func(caller int) load.Step, error) {
	var steps []func(int) load.Step
	for _, n := range w.all {
		s, err := n.step(l)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return func(caller int) load.Step { return steps[caller%len(steps)](caller) }, nil
}

// look is the view of the last, but counts the votes of all.
func (w *crew) look() View {
	v := w.channelNode.look()
	v.Leads, v.Voters = false, 0
	for _, n := range w.all {
		s := n.Status()
		v.Leads = v.Leads || s.Leader == n.sid
		v.Voters += votes(s)
	}
	return v
}

func (w *crew) close() error { return closeAll(w.all) }

func closeAll(nodes []*channelNode) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		if n != nil {
			all.Go(func() { errs[i] = n.Close() })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

func votes(s node.Status) int {
	if s.Role == "voter" {
		return 1
	}
	return 0
}

func (c *child) empty(ctx context.Context, _ proc.None) (proc.None, error) {
	n, err := c.node()
	if err != nil {
		return proc.None{}, err
	}
	return proc.None{}, n.DestroyAllChannels(ctx)
}

// stock adds members, and returns the index at which they are there.
func (c *child) stock(ctx context.Context, a Amount) (Index, error) {
	n, err := c.node()
	if err != nil {
		return Index{}, err
	}
	// Longer than an election: where all replicas share a machine, one may come of this.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ops := make([]node.Op, 0, a.Members)
	for i := range a.Members {
		p := n.crowd.Member(a.First + i)
		ops = append(ops, node.Op{Kind: node.OpAdd, Name: p.Name, UID: p.UID, SID: n.sid})
	}
	done, err := n.Apply(ctx, ops...)
	if err != nil {
		return Index{}, fmt.Errorf("stock: %w", err)
	}
	return Index{Index: done.Index}, nil
}

// newcomer starts a server that has nothing, and tells how long it took until it
// could be read from as of now: this is what a frontend that was just added needs
// before it can take players and pushes.
func (c *child) newcomer(ctx context.Context, o Newcomer) (a Arrival, err error) {
	began := time.Now()
	n, err := node.Start(ctx, node.Config{
		SID: o.Node.SID, SType: stype, Listen: o.Node.Listen, Join: o.Node.Join, NonVoter: o.Node.NonVoter,
		Network: c.traffic,
	})
	if err != nil {
		return a, fmt.Errorf("start node: %w", err)
	}
	// For good: a server that was merely closed stays in the configuration, and the
	// leader looks for it.
	defer func() { err = errors.Join(err, n.Decommission(ctx), n.Close()) }()
	before := c.traffic.Sent().Received
	members, err := n.Members(ctx, load.Channel(0), node.Linearizable())
	if err != nil {
		return a, fmt.Errorf("read: %w", err)
	}
	a.Read = time.Since(began)
	for range members {
		a.Members++
	}
	if err := n.Ready(ctx); err != nil {
		return a, fmt.Errorf("wait until ready: %w", err)
	}
	a.Ready = time.Since(began)
	a.Received = c.traffic.Sent().Received - before
	return a, nil
}
