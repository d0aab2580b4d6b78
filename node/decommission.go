package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cluster"
)

const (
	// decommissionTimeout is of a call whose context has no deadline: a successor of
	// this server's vote must show for seconds that it is stable.
	decommissionTimeout = 30 * time.Second
	// releaseTime is what the parts' end keeps of Close's time.
	releaseTime = 3500 * time.Millisecond
)

// Decommission is Close for good: besides ending this life it gives up the vote,
// leaves the configuration and gossip, and retires the data directory, which can
// then not be started again. It is how a server is taken out of service that will
// not come back; a restart is Close.
//
// The vote comes first, while this server still serves. If that is refused (nobody
// could take it, and too few voters would be left) or does not succeed before ctx
// ends (without a deadline: 30 s), nothing else has happened: the server goes on,
// and Decommission, or Close, may be called again. From then on it closes, as Close
// does, and an error says what was not done. The directory is retired only once the
// server is out of the configuration. Calls after that return nil, those after
// Close ErrClosed.
func (n *Node) Decommission(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, decommissionTimeout)
		defer cancel()
	}
	select {
	case n.decommission.turn <- struct{}{}:
		defer func() { <-n.decommission.turn }()
	case <-ctx.Done():
		return ended(ctx)
	}
	switch {
	case n.decommission.done:
		return nil
	case n.closing.Load():
		return errClosedBefore
	case ctx.Err() != nil:
		return ended(ctx)
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(n.ctx, func() { cancel(ErrClosed) })()
	if err := n.cluster.Withdraw(asking, false); err != nil && n.closing.Load() {
		return errClosedBefore
	} else if err != nil {
		return fmt.Errorf("not decommissioned, and still in service: %w", err)
	}
	if n.closing.Swap(true) {
		<-n.closed
		return errClosedBefore
	}
	close(n.decommission.leaving)
	var parted error
	// Also if nobody answered the goodbye: either it succeeds, or the error says so.
	n.finish(func(ctx context.Context, _ bool) { parted = n.retire(ctx) })
	n.decommission.done = parted == nil
	return errors.Join(parted, n.closeErr)
}

var errClosedBefore = fmt.Errorf("%w: this server was closed, and not decommissioned: start it again to do that", ErrClosed)

// decommissioning is what calls of Decommission share.
type decommissioning struct {
	turn    chan struct{} // one slot
	done    bool          // of who has the turn
	leaving chan struct{} // closed once the vote is given up and the server closes
}

// retire leaves the configuration for good. Without a vote it is missed by nobody.
func (n *Node) retire(ctx context.Context) error {
	if err := n.cluster.Withdraw(ctx, true); err != nil {
		return fmt.Errorf("closed, but still in the cluster's configuration, without a vote, and the data directory is kept: start this server again to decommission it: %w", err)
	}
	if n.cfg.DataDir == "" {
		return nil
	}
	retired := make(chan error, 1)
	go func() { retired <- n.store.Identity.Retire("the server was decommissioned", time.Now()) }()
	var err error
	select {
	case err = <-retired:
	case <-ctx.Done(): // a write that hangs; the store does not close then, which says so as well
		err = ended(ctx)
	}
	if err != nil {
		return fmt.Errorf("out of the cluster, but the data directory is not marked as retired, delete it: %w", err)
	}
	return nil
}

// resign is Close's part: a server without a data directory comes back as another
// node, if at all, so its vote and place go with it. It waits for a successor if the
// voters would be too few otherwise, and there is a candidate: in a rolling restart
// the server closed before is one, which needs some seconds. One with a directory
// keeps both. told: the cluster answered the goodbye; else it is not waited for.
func (n *Node) resign(ctx context.Context, told bool) {
	if !told {
		return
	}
	select {
	case <-n.cluster.Admitted():
	default:
		return
	}
	if n.cfg.DataDir != "" {
		return
	}
	err := n.cluster.Withdraw(ctx, true)
	switch {
	case errors.Is(err, cluster.ErrWithdrawRefused):
		n.log.Info("vote not given up", "reason", err)
	case err != nil:
		n.log.Warn("vote not given up", "err", err)
	}
}

// part leaves the voters, and then gossip.
func (n *Node) part(ctx context.Context, leave func(context.Context)) {
	deadline, _ := ctx.Deadline()
	votes, cancel := context.WithDeadline(ctx, deadline.Add(-releaseTime))
	defer cancel()
	leave(votes)
	bounded(ctx, time.Second, func(ctx context.Context) {
		if err := n.cluster.Leave(ctx); err != nil {
			n.log.Info("gossip not told", "err", err)
		}
	})
}
