package workload

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// mean names the lives that a write is for: one time in eight none, which is for the
// asked server to say; else those that the worker was last told of, which may be over.
func (w *linearWorker) mean(ctx context.Context, e *history.Event) {
	if w.random.IntN(8) == 0 {
		return
	}
	if w.lives.of(w.SIDs[0]) == 0 || w.random.IntN(20) == 0 {
		within(ctx, w.Impatience, func(ctx context.Context) { w.lives.learn(ctx, w.server, w.History) })
	}
	if e.SID != "" {
		e.Epoch = w.lives.of(e.SID)
	}
	for i, one := range e.Group {
		if one.SID != "" {
			e.Group[i].Epoch = w.lives.of(one.SID)
		}
	}
}

// addLate adds somebody for the life that was there a while ago, as a backend does that
// was told by the connector and was held up since. If that life is over, and no other
// one of its process has begun, the Add must be refused, whatever life there is now.
func (w *linearWorker) addLate(ctx context.Context) {
	within(ctx, w.Impatience, func(ctx context.Context) { w.lives.learn(ctx, w.server, w.History) })
	e := w.single(history.Add)
	if e.Epoch = w.lives.of(e.SID); e.Epoch == 0 {
		return
	}
	held := time.NewTimer(w.Delay / time.Duration(1+w.random.IntN(2)))
	defer held.Stop()
	select {
	case <-held.C:
	case <-ctx.Done():
		return
	}
	if connected(ctx, w.server) {
		w.send(ctx, e)
	}
}
