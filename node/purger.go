package node

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

const (
	purgePauseMin = 100 * time.Millisecond
	purgePauseMax = 30 * time.Second
	purgeYield    = time.Second // that a registration waits for the end of a call
)

// purger has a ChannelManager forget the members of lives that are over. It works on
// the leader; see SIDPurger. nil: there is nothing to call.
type purger struct {
	managed *managed
	replica *fsm.Replica
	catchUp func(context.Context) error // fails if this node does not lead

	mu      sync.Mutex // guards all below
	held    map[string]int
	running map[string]*purging // the one call of a sid
}

type purging struct {
	cancel context.CancelFunc
	call   *managerCall
}

func newPurger(n *Node) *purger {
	if n.managed == nil || n.managed.purge == nil {
		return nil
	}
	return &purger{
		managed: n.managed, replica: n.replica, catchUp: (&leading{replica: n.replica, desk: n.desk}).CatchUp,
		held: make(map[string]int), running: make(map[string]*purging),
	}
}

// run purges, while this node leads, each life that is over. Those that an earlier
// leader purged are purged again: nobody keeps a list.
func (p *purger) run(ctx context.Context) {
	if p == nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := make(map[string]uint64) // by sid: the life that is, or has been, purged
	for {
		changed := p.replica.ServersChanged()
		var records []fsm.Server
		p.replica.Read(func(s fsm.Reads) { records = s.Records() })
		known := make(map[string]bool, len(records))
		for _, r := range records {
			known[r.SID] = true
			if r.Up || begun[r.SID] == r.Epoch {
				continue
			}
			begun[r.SID] = r.Epoch
			wg.Go(func() { p.purge(ctx, r.SID, r.Epoch) })
		}
		maps.DeleteFunc(begun, func(sid string, _ uint64) bool { return !known[sid] })
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// purge tries until it is done, or there is a newer life.
func (p *purger) purge(ctx context.Context, sid string, epoch uint64) {
	log, failed := p.managed.node.log, false
	for pause := purgePauseMin; ; pause = min(2*pause, purgePauseMax) {
		done, err := p.try(ctx, sid, epoch)
		switch {
		case done && failed:
			log.Info("the channel manager is rid of a life that is over", "of", sid, "epoch", epoch)
		case err != nil && !failed && ctx.Err() == nil:
			failed = true
			log.Warn("PurgeSID failed, and is repeated", "of", sid, "epoch", epoch, "err", err)
		}
		if done {
			return
		}
		wait(ctx, pause)
		if ctx.Err() != nil {
			return
		}
	}
}

// try calls once. done: it has succeeded, or the life has a successor.
func (p *purger) try(ctx context.Context, sid string, epoch uint64) (done bool, err error) {
	ctx, cancel := p.managed.node.bounded(ctx)
	defer cancel()
	// This node may not know yet that another one leads, or of the sid's next life. If it
	// cannot tell, that is not the manager's fault, and whoever leads goes on.
	if p.catchUp(ctx) != nil {
		return false, nil
	}
	call, err := p.begin(ctx, cancel, sid, epoch)
	if call == nil {
		return err == nil, err
	}
	err = call.wait(ctx)
	select {
	case <-call.done:
	case <-p.managed.node.ctx.Done(): // nobody can end it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, sid)
	return err == nil, err
}

// begin returns no call and no error if the life has a successor.
func (p *purger) begin(ctx context.Context, cancel context.CancelFunc, sid string, epoch uint64) (*managerCall, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.held[sid] > 0:
		return nil, errors.New("a new life is about to begin")
	case p.running[sid] != nil:
		return nil, errors.New("an earlier call has not returned")
	case p.succeeded(sid, epoch):
		return nil, nil
	}
	call, err := p.managed.calls.begin(ctx, "PurgeSID", func(ctx context.Context) error { return p.managed.purge.PurgeSID(ctx, sid) })
	if err == nil {
		p.running[sid] = &purging{cancel: cancel, call: call}
	}
	return call, err
}

// succeeded: a life of the sid is up, or another one has ended, which is purged for itself.
func (p *purger) succeeded(sid string, epoch uint64) (is bool) {
	p.replica.Read(func(s fsm.Reads) {
		r, known := s.Server(sid)
		is = known && (r.Up || r.Epoch != epoch)
	})
	return is
}

// hold keeps a sid from being purged until release: a life of it is about to begin, and
// must not lose the members that it is given. What is under way is ended, and waited
// for, unless it does not heed its context.
func (p *purger) hold(ctx context.Context, sid string) (release func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	p.held[sid]++
	running := p.running[sid]
	p.mu.Unlock()
	if running != nil {
		running.cancel()
		bounded(ctx, purgeYield, func(ctx context.Context) { await(ctx, running.call.done) })
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held[sid]--; p.held[sid] == 0 {
			delete(p.held, sid)
		}
	}
}

// purgeBefore is for a life that nobody is let in to yet: what an earlier one of the sid
// left is removed, if the manager manages to in Config.Timeout.
func (m *managed) purgeBefore(ctx context.Context, sid string) {
	if m == nil || m.purge == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.node.cfg.Timeout)
	defer cancel()
	for pause := purgePauseMin; ; pause = min(2*pause, purgePauseMax) {
		c, err := m.calls.begin(ctx, "PurgeSID", func(ctx context.Context) error { return m.purge.PurgeSID(ctx, sid) })
		if err == nil {
			err = c.wait(ctx)
		}
		if err == nil {
			return
		}
		wait(ctx, pause)
		if ctx.Err() != nil {
			m.node.log.Warn("PurgeSID failed: members of an earlier life may be left", "of", sid, "err", err)
			return
		}
	}
}
