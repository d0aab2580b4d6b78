package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/sim"
)

// endIfRefused: a server may be refused after its log had let it begin, because the
// cluster that it was pointed at is another one.
func (n *Node) endIfRefused() {
	select {
	case <-n.cluster.Refused():
		n.fail(fmt.Errorf("%w: %w", ErrRefused, n.cluster.Err()))
	case <-n.ctx.Done():
	}
}

// cleanOnStartUp is one operation that the state decides: a fleet whose servers
// share one config file must not be emptied by every restart.
func (n *Node) cleanOnStartUp() {
	if n.managed != nil {
		n.managed.cleanOnStartUp(n.ctx)
		return
	}
	a, err := n.outbox.do(n.ctx, n.replica.Index(), fsm.Op{Kind: fsmpb.OpKind_OP_CLEAN_ON_START_UP})
	switch {
	case err != nil:
		n.log.Warn("CleanOnStartUp failed", "err", err)
	case a.results[0] != fsm.OpChanged:
		n.log.Warn("CleanOnStartUp: nothing destroyed, because there are no channels or other servers are up")
	default:
		n.log.Info("CleanOnStartUp: all channels destroyed")
	}
	n.reader.saw(a.index)
}

// compareSettings tells the operator whose file differs which values count.
func (n *Node) compareSettings(index uint64) {
	if n.cfg.Cluster == (Settings{}) || n.replica.Wait(n.ctx, index) != nil {
		return
	}
	own, now := n.cfg.Cluster.withDefaults(), n.settings()
	if n.replica.Level() < scaleLevel { // the founding's are to come
		own.Limits.Members, own.Limits.Channels, own.Limits.Servers = 0, 0, 0
	}
	if own != now {
		n.log.Warn("the cluster's settings differ from this server's and are used", "cluster", now, "own", own)
	}
}

// lead does the leader's duties whenever this node leads.
func (n *Node) lead() {
	for {
		leads, changed := n.consensus.leadership()
		if !leads {
			select {
			case <-changed:
				continue
			case <-n.ctx.Done():
				return
			}
		}
		n.leadUntilLost()
		if n.ctx.Err() != nil {
			return
		}
	}
}

func (n *Node) leadUntilLost() {
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	n.group.Go(func() {
		defer cancel()
		for {
			leads, changed := n.consensus.leadership()
			if !leads {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	n.log.Info("leading", "term", n.consensus.term())
	n.foundState(ctx)
	n.group.Go(func() { n.foundedLimits(ctx) })
	n.group.Go(func() { n.inspect(ctx) })
	n.group.Go(func() { n.purger.run(ctx) })
	n.cluster.Lead(ctx)
}

// nudge makes connections to servers that gossip has just seen try again at once
// instead of waiting for their back-off.
func (n *Node) nudge() {
	for {
		changed := n.cluster.Changed()
		for _, m := range n.cluster.Members() {
			n.port.Nudge(m.Addr)
			n.pusher.links.Nudge(m.Addr)
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return
		}
	}
}

// foundState gives a new cluster's state its id and settings. Repeating it, here
// or by the next leader, changes nothing.
func (n *Node) foundState(ctx context.Context) {
	for ctx.Err() == nil {
		known := ""
		n.replica.Read(func(s fsm.Reads) { known = s.ClusterID() })
		record := n.store.Identity.Load()
		if known != "" {
			if record.ClusterID != "" && record.ClusterID != known {
				n.log.Error("the state is of another cluster than the data directory", "state", known, "directory", record.ClusterID)
			}
			return
		}
		var settings []byte
		if record.Promise != nil {
			settings = record.Promise.Settings
		}
		if record.ClusterID == "" {
			wait(ctx, time.Second/10) // package cluster learns it from the configuration that made this node lead
			continue
		}
		if err := n.committer.found(ctx, record.ClusterID, settings); err != nil && ctx.Err() == nil {
			n.log.Warn("founding entry not committed", "err", err)
			wait(ctx, time.Second)
		}
	}
}

// Close ends this server: own members are gone everywhere at once, the data is
// kept, and so is the vote if there is a data directory. It takes at most 10 s
// and may be called again. What could not be done in time is in the error.
func (n *Node) Close() error {
	if n.closing.Swap(true) {
		<-n.closed
		return n.closeErr
	}
	n.finish(n.resign)
	return n.closeErr
}

// finish ends the node; leave is what becomes of its vote.
func (n *Node) finish(leave func(ctx context.Context, told bool)) {
	defer close(n.closed)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if !n.killed() {
		told := false
		bounded(ctx, goodbyeTimeout, func(ctx context.Context) { told = n.sayGoodbye(ctx) })
		n.part(ctx, func(ctx context.Context) { leave(ctx, told) })
	}
	n.closeErr = n.release(ctx)
	n.end()
}

func (n *Node) killed() bool {
	m, ok := n.cfg.Network.(sim.Machine)
	return ok && m.Killed()
}

// sayGoodbye tells the cluster, in the order that loses nothing. Each step is
// bounded: without a quorum none of them can succeed. told: there is one.
func (n *Node) sayGoodbye(ctx context.Context) (told bool) {
	// A leader whose state has halted commits nothing: another one has to.
	if n.replica.Halted() != nil {
		n.stepDown(ctx)
	}
	// From here on there is a life, or there is none to come.
	n.life.stop()
	// Callers get their answers while this life may still write. Without a life
	// nothing of the outbox was ever sent.
	if epoch, _ := n.life.now(); epoch != 0 {
		bounded(ctx, 2*time.Second, func(ctx context.Context) { n.outbox.drain(ctx, notSent(ErrClosed)) })
	}
	n.outbox.refuse(notSent(ErrClosed))
	// The members go at one index. If it can't be committed, they stay until the
	// next registration of this sid.
	var err error
	if n.failure() == nil {
		bounded(ctx, 2*time.Second, func(ctx context.Context) {
			if err = n.life.end(ctx); err != nil {
				n.log.Warn("life not ended", "err", err)
			}
		})
	}
	// Only then give up leadership: as leader the life's end was one local entry.
	// Without this the others need an election timeout to find out.
	n.stepDown(ctx)
	return err == nil
}

func (n *Node) stepDown(ctx context.Context) {
	bounded(ctx, 2*time.Second, func(ctx context.Context) {
		if err := n.consensus.handOver(ctx, n.successors); err != nil {
			n.log.Warn("leadership not handed over", "err", err)
		}
	})
}

// release takes the parts down, each before what it stands on. It is also the way
// back from a failed Start, so parts may be missing.
func (n *Node) release(ctx context.Context) error {
	var errs []error
	n.cancel(ErrClosed) // loops of this package; what is in flight is answered as unknown
	if n.life != nil {
		n.life.open(ErrClosed)
	}
	if n.outbox != nil {
		n.outbox.refuse(notSent(ErrClosed))
	}
	// What may call into this node still. It is answered by now.
	if n.host != nil {
		bounded(ctx, time.Second, func(ctx context.Context) { errs = append(errs, n.host.close(ctx)) })
	}
	// Handlers first: a stream that is being served waits for its handler.
	if n.frontends != nil {
		bounded(ctx, time.Second, func(ctx context.Context) { errs = append(errs, n.frontends.close(ctx)) })
	}
	// Then the streams that brought them, or the port would wait for these; the last
	// answers go out.
	if n.pushes != nil {
		n.pushes.Close()
		n.pusher.close()
	}
	if n.port != nil {
		bounded(ctx, time.Second, n.port.EndStreams) // else Raft's and the agent's calls would go on below
	}
	if n.agent != nil {
		bounded(ctx, time.Second/2, n.agent.close) // own life's end has ended the attached ones
	}
	if n.indexes != nil {
		n.indexes.close() // what reads wait for has ended with n.ctx
	}
	n.group.Wait()                 // all of them end with n.ctx
	managed := n.managed.stop(ctx) // nobody is left who would call it; the rest does not need it
	if n.outbox != nil {
		n.outbox.refuse(notSent(ErrClosed)) // what its loop put back at the very end
	}
	if n.cluster != nil {
		errs = append(errs, n.cluster.Close())
	}
	stuck := false
	if n.consensus != nil {
		err := n.consensus.close(ctx, n.closeStore)
		stuck = errors.Is(err, errStuck)
		errs = append(errs, err)
	}
	if n.port != nil {
		errs = append(errs, n.port.Close()) // after Raft, which still answers votes until it is down
	}
	if n.store != nil && !stuck {
		errs = append(errs, n.closeStore()) // last: Raft writes until it is down
	}
	return errors.Join(append(errs, managed())...)
}

// bounded gives one step of Close its share of the time.
func bounded(ctx context.Context, d time.Duration, step func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	step(ctx)
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
