package node

import (
	"context"
	"errors"
	"fmt"
)

// The three classes. Every error of a write matches exactly one of them, so a
// caller can decide what to do next without knowing the occasion.
var (
	// ErrRejected: final, and nothing took effect.
	ErrRejected = errors.New("rejected")
	// ErrNotSent: never entered the log; calling again is safe.
	ErrNotSent = errors.New("not sent")
	// ErrOutcomeUnknown: may have taken, or may yet take, effect. The same Add or
	// Leave may simply be called again.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// Occasions that are ErrRejected.
var (
	ErrInvalidArgument error = &occasion{"invalid argument", ErrRejected} // names the field and its limit
	ErrServerGone      error = &occasion{"server gone", ErrRejected}      // the life of the sid that was meant is over
	ErrUnknownServer   error = &occasion{"unknown server", ErrRejected}   // the sid never registered
	ErrFenced          error = &occasion{"fenced", ErrRejected}           // this process's own life was declared over
	ErrAborted         error = &occasion{"aborted", ErrRejected}          // another operation of the group was refused
	ErrLimit           error = &occasion{"limit reached", ErrRejected}    // of Settings.Limits
	ErrUnsupported     error = &occasion{"not supported", ErrRejected}
)

// Occasions that are ErrNotSent.
var (
	ErrOverloaded error = &occasion{"overloaded", ErrNotSent} // too many operations wait on this node
	ErrReentrant  error = &occasion{"push from inside a handler of the same channel", ErrNotSent}
)

// Occasions that come with ErrNotSent or ErrOutcomeUnknown, as it was.
var (
	ErrNoLeader = errors.New("no leader")
	ErrClosed   = errors.New("node closed")
)

// Occasions outside writes.
var (
	ErrPushFailed    = errors.New("push reached no server")
	ErrStale         = errors.New("replica is too old") // for MaxStaleness; the text tells its age
	ErrReplicaBehind = errors.New("replica is behind")
	ErrHalted        = errors.New("state halted") // the log holds what this binary does not know, or this copy of the state is another one than a majority of voters holds
	ErrRefused       = errors.New("refused")      // by the cluster, for good: see Ready; what an operator asked for: see RemoveServer
)

// occasion is a sentinel that belongs to one class.
type occasion struct {
	text  string
	class error
}

func (o *occasion) Error() string { return o.text }
func (o *occasion) Unwrap() error { return o.class }

// notSent is the error of a write that never entered the log.
func notSent(why ...error) error { return classified(ErrNotSent, why) }

// outcomeUnknown is the error of a write that may have entered the log.
func outcomeUnknown(why ...error) error { return classified(ErrOutcomeUnknown, why) }

func classified(class error, why []error) error {
	e := &classError{all: []error{class}}
	for _, w := range why {
		if w != nil {
			e.all = append(e.all, w)
		}
	}
	return e
}

// classError is a class beside the occasion and the context's error; errors.Is
// finds each of them.
type classError struct{ all []error }

func (e *classError) Error() string {
	text := e.all[0].Error()
	for _, w := range e.all[1:] {
		text += ": " + w.Error()
	}
	return text
}

func (e *classError) Unwrap() []error { return e.all }

// invalid names the field and what would be right.
func invalid(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", ErrInvalidArgument, field, fmt.Sprintf(format, args...))
}

// ended is a context's error and, where it differs, its cause. The cause may be
// another call's error (errgroup does that), whose class says nothing of this one.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case cause == nil || errors.Is(cause, err):
		return err
	case cause == ErrClosed: // the node has ended it, not the caller
		return ErrClosed
	case errors.Is(cause, ErrRejected) || errors.Is(cause, ErrNotSent) || errors.Is(cause, ErrOutcomeUnknown):
		return fmt.Errorf("%w (%v)", err, cause)
	}
	return fmt.Errorf("%w (%w)", err, cause)
}
