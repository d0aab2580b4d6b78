package nodetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// askAgain is how long Eventually waits between two tries. It has nothing to wait
// on: the condition may be anything.
const askAgain = 5 * time.Millisecond

// Eventually tries cond until it returns nil. It fails the test with cond's last
// error when ctx ends.
func (f *Fleet) Eventually(ctx context.Context, cond func() error) {
	f.t.Helper()
	t := time.NewTicker(askAgain)
	defer t.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			f.t.Fatalf("nodetest: still not so (%v): %v", context.Cause(ctx), err)
		}
	}
}

// WaitReady waits until every server that runs is ready.
func (f *Fleet) WaitReady(ctx context.Context) {
	f.t.Helper()
	for _, s := range f.starts {
		if s.process.Killed() || s != f.servers[s.cfg.SID] {
			continue
		}
		if err := s.node.Ready(ctx); err != nil {
			f.t.Fatalf("nodetest: %q is not ready: %v", s.cfg.SID, err)
		}
	}
}

// Leader waits until a server leads, in the newest term that any of those that run
// has seen, and returns it.
func (f *Fleet) Leader(ctx context.Context) *node.Node {
	f.t.Helper()
	var leader *node.Node
	f.Eventually(ctx, func() (err error) {
		leader, err = f.leader()
		return err
	})
	return leader
}

func (f *Fleet) leader() (*node.Node, error) {
	var leader *node.Node
	var term uint64
	var seen []error
	for _, s := range f.running() {
		status := s.node.Status()
		seen = append(seen, fmt.Errorf("%s: leader %q, term %d, %s", s.cfg.SID, status.Leader, status.Term, status.Problem))
		if status.LeaderNodeID == status.NodeID && status.Term >= term {
			leader, term = s.node, status.Term
		}
		if status.Term > term {
			leader, term = nil, status.Term // somebody is already electing another one
		}
	}
	if leader == nil {
		return nil, fmt.Errorf("no leader: %w", errors.Join(seen...))
	}
	return leader, nil
}

// WaitEqual waits until every server that runs shows what any of them has seen acknowledged.
func (f *Fleet) WaitEqual(ctx context.Context) {
	f.t.Helper()
	var index uint64
	for _, n := range f.Nodes() {
		index = max(index, n.Index())
	}
	for _, n := range f.Nodes() {
		_, err := n.Members(ctx, "nodetest", node.AtLeast(index))
		switch {
		case errors.Is(err, node.ErrUnsupported): // its channels are elsewhere
			f.waitApplied(ctx, n, index)
		case err != nil:
			f.t.Fatalf("nodetest: %q does not catch up: %v", n.Self().SID, err)
		}
	}
}

func (f *Fleet) waitApplied(ctx context.Context, n *node.Node, index uint64) {
	f.t.Helper()
	f.Eventually(ctx, func() error {
		if got := n.Status().Applied; got < index {
			return fmt.Errorf("%q has applied %d of %d", n.Self().SID, got, index)
		}
		return nil
	})
}
