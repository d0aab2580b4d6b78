package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// commitWait bounds what the reaper waits for Raft. A proposal may outlive it;
	// it was made when its life had been silent for long enough.
	commitWait = 5 * time.Second
	maxEnding  = 16 // lives whose end is on its way at a time
)

// reaper ends the lives of which this leader's roll call hears nothing any more.
type reaper struct {
	state     State
	heard     func(Life) hearing
	members   func() []Member // gossip's
	reapAfter func() time.Duration
	logger    *slog.Logger

	mu      sync.Mutex // guards silence
	silence silence
}

// lead works until ctx ends. Each term counts anew: what the leader before had
// heard is not known, and its silence was perhaps its own.
func (r *reaper) lead(ctx context.Context) {
	r.mu.Lock()
	r.silence = silence{}
	r.mu.Unlock()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { every(ctx, time.Second, r.look) }) // not delayed by what the loop below waits for
	every(ctx, time.Second, func() { r.round(ctx) })
}

// every calls f at once and then with each tick until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		f()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *reaper) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silence.look(time.Now())
}

// round ends who is due. Before it does, a commit must show that this node still
// leads, that its log moves, and who lives at all: a proposal of a leader that is
// cut off, or whose disk stands still, would take effect much later, if ever. What
// was heard while that took counts.
func (r *reaper) round(ctx context.Context) {
	if r.counting() && len(r.over()) == 0 {
		return
	}
	timed, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	if err := r.state.CatchUp(timed); err != nil {
		r.logger.Debug("nobody is judged: nothing can be committed", "error", err)
		return
	}
	r.begin()
	r.end(ctx, r.over())
}

func (r *reaper) counting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.silence.began.IsZero()
}

// begin is this leader's first committed entry.
func (r *reaper) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silence.began.IsZero() {
		r.silence.began = time.Now()
	}
}

func (r *reaper) over() []Life {
	lives, members, after := r.state.Lives(), r.members(), r.reapAfter()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.silence.look(now)
	return r.silence.over(now, after, lives, r.heard, members)
}

func (r *reaper) end(ctx context.Context, lives []Life) {
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	var ends sync.WaitGroup
	slots := make(chan struct{}, maxEnding)
	for _, l := range lives {
		slots <- struct{}{}
		ends.Go(func() {
			defer func() { <-slots }()
			if err := r.state.End(ctx, l); err != nil {
				r.logger.Debug("silent life not ended", "sid", l.SID, "epoch", l.Epoch, "error", err)
				return
			}
			r.logger.Warn("life ended, it was silent for too long", "sid", l.SID, "epoch", l.Epoch, "node_id", l.NodeID, "addr", l.Addr)
		})
	}
	ends.Wait()
}
