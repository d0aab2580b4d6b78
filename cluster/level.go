package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"time"
)

const (
	// firstLevel is that of binaries, and states, from before there were levels.
	firstLevel = 2
	levelPause = 100 * time.Millisecond // between two looks: answers come as often as there are servers
)

// level raises the feature level of the state, while this node leads, to what
// every server of the configuration knows. A server that meets an entry of a newer
// level halts, so each must have said so itself, to this leader: those that do not
// vote and those that are down included.
type level struct {
	consensus Consensus
	state     State
	roll      *rollCall
	own       uint32        // of this binary
	turn      chan struct{} // shared with admission
	logger    *slog.Logger
}

// lead works until ctx ends, or the state is as high as this leader can help it.
func (l *level) lead(ctx context.Context) {
	for ctx.Err() == nil && l.state.Level() < l.own {
		news := l.roll.changed()
		if l.common() > l.state.Level() {
			l.raise(ctx)
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
		pause(ctx, levelPause)
	}
}

// common is the highest level that all servers have told to know; 0 while one of
// them has told nothing.
func (l *level) common() uint32 {
	servers, err := l.consensus.Configuration()
	if err != nil || len(servers) == 0 {
		return 0
	}
	lowest := l.own
	for _, s := range servers {
		a, ok := l.roll.answer(s.NodeID)
		if !ok {
			return 0
		}
		lowest = min(lowest, levelOf(a.Level))
	}
	return lowest
}

// raise takes the turn of configuration changes and looks again: a server that
// joins was measured against the level that it saw.
func (l *level) raise(ctx context.Context) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	// The entry may be out for longer than this waits, but not its turn: an old
	// server that joins then is refused or sees a state that it halts at.
	if to := l.common(); to > l.state.Level() {
		if err := l.state.RaiseLevel(ctx, to); err != nil {
			l.logger.Debug("level not raised", "level", to, "error", err)
			return
		}
		l.logger.Info("feature level raised: every server knows it", "level", to)
	}
}

func levelOf(told uint32) uint32 { return cmp.Or(told, firstLevel) }

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
