package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// ReadOption says how fresh a read must be. Without one a read shows every write
// that this process has seen acknowledged, and never goes backwards.
type ReadOption func(*readOptions)

type readOptions struct {
	stale       bool
	atLeast     uint64
	unsupported string
	given       int
}

// Stale reads what this node has and never waits. It goes on without a quorum.
func Stale() ReadOption {
	return func(o *readOptions) { o.stale = true; o.given++ }
}

// AtLeast waits until this node has applied index, which any node returned
// (Index, PushResult.Index): causality across processes.
func AtLeast(index uint64) ReadOption {
	return func(o *readOptions) { o.atLeast = index; o.given++ }
}

// Linearizable will read every write that was acknowledged anywhere before the
// call. It is not built yet: such a read gets ErrUnsupported.
func Linearizable() ReadOption {
	return func(o *readOptions) { o.unsupported = "Linearizable"; o.given++ }
}

// MaxStaleness will bound the age of what is read. It is not built yet: such a
// read gets ErrUnsupported.
func MaxStaleness(time.Duration) ReadOption {
	return func(o *readOptions) { o.unsupported = "MaxStaleness"; o.given++ }
}

// reader answers from this node's replica.
type reader struct {
	replica *fsm.Replica
	ready   func(context.Context) error                                 // waits for the registration: before, the replica may be empty
	bound   func(context.Context) (context.Context, context.CancelFunc) // gives a wait its deadline
	acked   atomic.Uint64                                               // highest index that this process has seen acknowledged
}

// saw notes an acknowledged index.
func (r *reader) saw(index uint64) {
	for {
		old := r.acked.Load()
		if index <= old || r.acked.CompareAndSwap(old, index) {
			return
		}
	}
}

func (r *reader) index() uint64 { return max(r.acked.Load(), r.replica.Index()) }

// view runs f on the state once it is as fresh as the options ask.
func (r *reader) view(ctx context.Context, opts []ReadOption, f func(*fsm.State)) error {
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	if o.given > 1 {
		return invalid("read options", "contradict each other: give one of Stale and AtLeast")
	}
	if o.unsupported != "" {
		return fmt.Errorf("read option %s: %w", o.unsupported, ErrUnsupported)
	}
	if err := r.replica.Halted(); err != nil {
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	if !o.stale {
		if err := r.fresh(ctx, o.atLeast); err != nil {
			return err
		}
	}
	r.replica.View(f)
	return nil
}

// fresh waits until the replica has index and all that this process has seen
// acknowledged.
func (r *reader) fresh(ctx context.Context, index uint64) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	if err := r.ready(ctx); err != nil {
		return fmt.Errorf("%w: not ready: %w", ErrReplicaBehind, err)
	}
	return r.wait(ctx, max(index, r.acked.Load()))
}

// wait returns ErrReplicaBehind if ctx ends first.
func (r *reader) wait(ctx context.Context, index uint64) error {
	if r.replica.Index() >= index {
		return nil
	}
	if err := r.replica.Wait(ctx, index); err != nil {
		if errors.Is(err, fsm.ErrHalted) {
			return fmt.Errorf("%w: %w", ErrHalted, err)
		}
		return fmt.Errorf("%w: applied %d of %d: %w", ErrReplicaBehind, r.replica.Index(), index, ended(ctx))
	}
	return nil
}
