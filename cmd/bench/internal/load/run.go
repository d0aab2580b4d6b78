package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Step makes one call and returns how many operations it was. Each caller has its
// own.
type Step func(ctx context.Context) (ops int, err error)

// Result is what one Measure saw.
type Result struct {
	Seconds float64 `json:"seconds"`
	Ops     uint64  `json:"ops"` // that succeeded
	P50us   float64 `json:"p50_us"`
	P99us   float64 `json:"p99_us"`
	Errors  uint64  `json:"errors"`
	Error   string  `json:"error,omitempty"` // the first one
}

// Run is a load that goes on until Stop.
type Run struct {
	ctx     context.Context
	cancel  context.CancelFunc
	due     func() time.Time // waits until a caller's next step is due; what it returns after the end counts for nothing
	ended   atomic.Bool
	window  atomic.Pointer[window] // nil: nothing is being measured
	callers sync.WaitGroup
	new     atomic.Int64  // callers without an answer yet
	warm    chan struct{} // closed when there are none
}

type window struct {
	latency stats.Histogram
	ops     atomic.Uint64
	errors  atomic.Uint64
	first   atomic.Pointer[error]
}

// errorPause keeps a caller whose calls fail at once from spinning.
const errorPause = time.Millisecond

// Start begins with the steps of that many callers.
func Start(callers int, step func(caller int) Step) *Run {
	r := newRun(callers, time.Now)
	r.run(callers, step)
	return r
}

func newRun(callers int, due func() time.Time) *Run {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Run{ctx: ctx, cancel: cancel, due: due, warm: make(chan struct{})}
	r.new.Store(int64(callers))
	return r
}

func (r *Run) run(callers int, step func(caller int) Step) {
	for i := range callers {
		s := step(i)
		r.callers.Go(func() { r.loop(i, s) })
	}
}

func (r *Run) loop(caller int, step Step) {
	for first := true; !r.ended.Load(); first = false {
		began := r.due()
		if r.ended.Load() {
			return
		}
		ops, err := step(r.ctx)
		took := time.Since(began)
		if first && r.new.Add(-1) == 0 {
			close(r.warm)
		}
		w := r.window.Load()
		switch {
		case err != nil:
			if w != nil {
				w.fail(err)
			}
			pause(r.ctx, errorPause)
		case w != nil:
			w.latency.Record(caller, took)
			w.ops.Add(uint64(ops))
		}
	}
}

func (w *window) fail(err error) {
	w.errors.Add(1)
	w.first.CompareAndSwap(nil, &err)
}

// WarmUp waits for d, and until every caller has had an answer: a connection that
// is still being made is no part of what is measured.
func (r *Run) WarmUp(ctx context.Context, d time.Duration) error {
	pause(ctx, d)
	select {
	case <-r.warm:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("warm up: %d callers have had no answer: %w", r.new.Load(), context.Cause(ctx))
	}
}

// Measure counts what ends within the next d. One at a time.
func (r *Run) Measure(ctx context.Context, d time.Duration) (Result, error) {
	w := &window{}
	began := time.Now()
	r.window.Store(w)
	pause(ctx, d)
	r.window.Store(nil)
	took := time.Since(began)
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("measure: %w", context.Cause(ctx))
	}
	us := func(q float64) float64 { return float64(w.latency.Quantile(q)) / 1e3 }
	result := Result{Seconds: took.Seconds(), Ops: w.ops.Load(), P50us: us(0.5), P99us: us(0.99), Errors: w.errors.Load()}
	if first := w.first.Load(); first != nil {
		result.Error = (*first).Error()
	}
	return result, nil
}

// Stop lets the calls that are outstanding end, and waits for them; if ctx ends
// first their context is cancelled.
func (r *Run) Stop(ctx context.Context) {
	r.ended.Store(true)
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	r.callers.Wait()
	r.cancel()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
