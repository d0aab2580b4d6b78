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
// that this process has seen acknowledged, and never goes backwards. At most one
// may be given: ErrInvalidArgument.
type ReadOption func(*readOptions)

type readOptions struct {
	kind      readKind
	index     uint64        // of readAtLeast
	staleness time.Duration // of readMaxStaleness
	given     int
}

type readKind uint8

const (
	readDefault readKind = iota
	readStale
	readAtLeast
	readLinearizable
	readMaxStaleness
)

// Stale reads what this node has and never waits. It goes on without a quorum.
func Stale() ReadOption {
	return func(o *readOptions) { o.kind = readStale; o.given++ }
}

// AtLeast waits until this node has applied index, which any node returned
// (Index, PushResult.Index): causality across processes.
func AtLeast(index uint64) ReadOption {
	return func(o *readOptions) { o.kind, o.index = readAtLeast, index; o.given++ }
}

// Linearizable reads every write that was acknowledged anywhere before the call. It
// costs one round trip to the leader and one commit, shared by all such reads that
// wait on this node, and needs a majority of voters. Without one it repeats its
// question until the call's context ends; the error then matches ErrNoLeader where
// no leader is known, else ErrReplicaBehind, and the context's error.
func Linearizable() ReadOption {
	return func(o *readOptions) { o.kind = readLinearizable; o.given++ }
}

// MaxStaleness reads what this node has if that is at most d old: it shows every
// write that was acknowledged anywhere d or longer before the call. Like Stale it
// promises nothing of younger writes, not even of this process's own. While such
// reads come, the node asks the leader about every d/2 (at most every 5 ms), so on a
// healthy cluster they do not wait, if d is well above what an answer and the replica
// need (tens of milliseconds). Where the replica is older, the read waits for the
// leader's answer: within its context, and no longer than d or 100 ms, whichever is
// more. Then it fails with ErrStale, which tells the age. d must be above 0:
// ErrInvalidArgument.
func MaxStaleness(d time.Duration) ReadOption {
	return func(o *readOptions) { o.kind, o.staleness = readMaxStaleness, d; o.given++ }
}

// minStaleWait is what a read with a small MaxStaleness waits for the leader.
const minStaleWait = 100 * time.Millisecond

// parse checks options. Without any it allocates nothing.
func parse(opts []ReadOption) (readOptions, error) {
	if len(opts) == 0 {
		return readOptions{}, nil
	}
	var o readOptions
	for _, opt := range opts {
		opt(&o)
	}
	switch {
	case o.given > 1:
		return o, invalid("read options", "contradict each other: give one of Stale, AtLeast, Linearizable and MaxStaleness")
	case o.kind == readMaxStaleness && o.staleness <= 0:
		return o, invalid("MaxStaleness", "is %v; give a time above 0", o.staleness)
	}
	return o, nil
}

// reader answers from this node's replica.
type reader struct {
	node    *Node // for looks
	replica *fsm.Replica
	trusted func() error                                                // why not to
	life    *life                                                       // before its registration the replica may be empty
	bound   func(context.Context) (context.Context, context.CancelFunc) // gives a wait its deadline
	known   func() bool                                                 // a leader is
	indexes *readIndexes
	age     *age
	refresh *refresher
	acked   atomic.Uint64 // highest index that this process has seen acknowledged
	own     ownWrites
}

// wrote notes acknowledged operations.
func (r *reader) wrote(index uint64, ops ...fsm.Op) {
	r.own.note(index, r.replica.Index(), ops)
	r.raise(index)
}

// saw notes an acknowledged index of something that may be about any channel.
func (r *reader) saw(index uint64) {
	r.own.noteAll(index)
	r.raise(index)
}

func (r *reader) raise(index uint64) {
	for {
		old := r.acked.Load()
		if index <= old || r.acked.CompareAndSwap(old, index) {
			return
		}
	}
}

func (r *reader) index() uint64 { return max(r.acked.Load(), r.replica.Index()) }

// view runs f on the state once it is as fresh as the options ask.
func (r *reader) view(ctx context.Context, opts []ReadOption, f func(fsm.Reads)) error {
	o, err := parse(opts)
	if err == nil {
		err = r.trusted()
	}
	if err != nil {
		return err
	}
	if _, ready := r.life.current(); ready && (o.kind == readDefault || o.kind == readAtLeast) {
		// The common read: one lock, and no context of its own.
		if done, err := r.atOnce(max(o.index, r.acked.Load()), f); done || err != nil {
			return err
		}
	}
	if err := r.replica.Halted(); err != nil { // before a wait that would be for nothing
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	if err := r.ensure(ctx, o); err != nil {
		return err
	}
	_, err = r.atOnce(0, f)
	return err
}

// viewOf runs f on a state that has all that this process has seen acknowledged on some
// channels.
func (r *reader) viewOf(ctx context.Context, names []string, f func(fsm.Reads)) error {
	if err := r.trusted(); err != nil {
		return err
	}
	index := r.own.on(names)
	if _, ready := r.life.current(); ready {
		if done, err := r.atOnce(index, f); done || err != nil {
			return err
		}
	}
	if err := r.replica.Halted(); err != nil {
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	if _, err := r.life.wait(ctx); err != nil {
		return fmt.Errorf("%w: not ready: %w", ErrReplicaBehind, err)
	}
	if err := r.wait(ctx, max(index, r.own.on(names))); err != nil {
		return err
	}
	_, err := r.atOnce(0, f)
	return err
}

// atOnce runs f if the replica has index.
func (r *reader) atOnce(index uint64, f func(fsm.Reads)) (done bool, err error) {
	r.replica.Read(func(s fsm.Reads) {
		if err = s.Halted(); err == nil && s.Index() >= index {
			f(s)
			done = true
		}
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrHalted, err)
	}
	return done, nil
}

// whole runs f on a state in which no entry is half applied, and which is at least as new
// as the one of a view before.
func (r *reader) whole(f func(*fsm.State)) (err error) {
	r.replica.View(func(s *fsm.State) {
		if err = s.Halted(); err == nil {
			f(s)
		}
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	return nil
}

// ensure waits until the replica is as fresh as the options ask.
func (r *reader) ensure(ctx context.Context, o readOptions) error {
	switch o.kind {
	case readStale:
		return nil
	case readLinearizable:
		return r.linearizable(ctx)
	case readMaxStaleness:
		return r.younger(ctx, o.staleness)
	}
	return r.fresh(ctx, o.index)
}

// fresh waits until the replica has index and all that this process has seen
// acknowledged.
func (r *reader) fresh(ctx context.Context, index uint64) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	if _, err := r.life.wait(ctx); err != nil {
		return fmt.Errorf("%w: not ready: %w", ErrReplicaBehind, err)
	}
	return r.wait(ctx, max(index, r.acked.Load())) // registration is acknowledged, too
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

// linearizable waits until the replica has all that was acknowledged anywhere
// before the call.
func (r *reader) linearizable(ctx context.Context) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	err := r.caughtUp(ctx)
	if err == nil {
		return nil
	}
	occasion := ErrReplicaBehind
	if ctx.Err() != nil && !r.known() {
		occasion = ErrNoLeader
	}
	return fmt.Errorf("%w: linearizable read: %w", occasion, err)
}

func (r *reader) caughtUp(ctx context.Context) error {
	if _, err := r.life.wait(ctx); err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	// Not one that is under way: what was acknowledged since it was sent may be
	// above its index.
	return r.renew(ctx, time.Now())
}

// renew waits until the replica has all that was acknowledged anywhere before since.
func (r *reader) renew(ctx context.Context, since time.Time) error {
	index, err := r.indexes.get(ctx, since)
	if err != nil {
		return fmt.Errorf("no read index: %w", err)
	}
	if r.replica.Wait(ctx, index) != nil {
		return fmt.Errorf("applied %d of %d: %w", r.replica.Index(), index, ended(ctx))
	}
	return nil
}

// younger returns at once if the replica is at most d old, else it waits for that.
func (r *reader) younger(ctx context.Context, d time.Duration) error {
	r.refresh.keep(d)
	if old, known := r.old(); known && old <= d {
		return nil
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	limited, cancel := context.WithTimeout(ctx, max(d, minStaleWait))
	defer cancel()
	err := r.renew(limited, time.Now().Add(-d))
	if err == nil {
		return nil
	}
	old, known := r.old()
	if known && old <= d {
		return nil // it became so by the answer to a batch
	}
	words := "of unknown age"
	if known {
		words = fmt.Sprintf("%v old", old.Round(time.Millisecond))
	}
	if ctx.Err() == nil {
		return fmt.Errorf("%w: %s, at most %v is allowed: %v", ErrStale, words, d, err) // the caller's time is not over
	}
	return fmt.Errorf("%w: %s, at most %v is allowed: %w", ErrStale, words, d, err)
}

// old is the age of the replica, if it is known.
func (r *reader) old() (time.Duration, bool) { return r.age.now(r.replica.Index()) }
