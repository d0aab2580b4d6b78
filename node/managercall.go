package node

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// managerPatience is how long an answer is waited for after the call's time is up: a
	// method that honours its context knows best what has become of it.
	managerPatience = 20 * time.Millisecond
	// maxManagerStuck calls may go on after their callers have left. Beyond it calls are
	// refused: each holds a goroutine.
	maxManagerStuck = 1024
)

// managerCalls are the calls of a user's methods, which may block, panic, or end their
// goroutines.
type managerCalls struct {
	failed func(method string, err error, stack string) // a method did not return

	mu      sync.Mutex // guards all below
	ended   bool       // no call begins any more
	running int
	stuck   int           // of those, without a caller
	idle    chan struct{} // non-nil once somebody waits for the last one; closed then
}

// managerCall is one call, in a goroutine of its own.
type managerCall struct {
	calls  *managerCalls
	method string
	left   bool          // its caller has left, and it is among the stuck; guarded by calls.mu
	done   chan struct{} // closed when the method has returned
	err    error         // written before done is closed
}

// begin calls f, unless calls have ended, or too many are stuck.
func (s *managerCalls) begin(ctx context.Context, method string, f func(context.Context) error) (*managerCall, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, ErrClosed
	case s.stuck >= maxManagerStuck:
		return nil, fmt.Errorf("%w: %d calls of the channel manager do not return", ErrOverloaded, s.stuck)
	}
	return s.runLocked(ctx, method, f), nil
}

func (s *managerCalls) runLocked(ctx context.Context, method string, f func(context.Context) error) *managerCall {
	c := &managerCall{calls: s, method: method, done: make(chan struct{})}
	s.running++
	go c.run(ctx, f)
	return c
}

func (c *managerCall) run(ctx context.Context, f func(context.Context) error) {
	returned := false
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("channel manager: %s panicked: %v", c.method, p)
		} else if !returned {
			c.err = fmt.Errorf("channel manager: %s ended its goroutine", c.method)
		}
		if !returned {
			c.calls.failed(c.method, c.err, string(debug.Stack()))
		}
		c.calls.returned(c)
	}()
	if err := f(ctx); err != nil {
		c.err = fmt.Errorf("channel manager: %w", err) // makes its text now: a method of err may panic
	}
	returned = true
}

func (s *managerCalls) returned(c *managerCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(c.done)
	s.running--
	if c.left {
		s.stuck--
	}
	if s.running == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// wait returns the method's error, or that it has not returned in ctx's time.
func (c *managerCall) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	t := time.NewTimer(managerPatience)
	defer t.Stop()
	select {
	case <-c.done:
		return c.err
	case <-t.C:
		return c.leave(ctx)
	}
}

// leave is the end of a caller's patience.
func (c *managerCall) leave(ctx context.Context) error {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	select {
	case <-c.done: // just now
		return c.err
	default:
	}
	if !c.left {
		c.left = true
		c.calls.stuck++
	}
	return fmt.Errorf("channel manager: %s has not returned: %w", c.method, ended(ctx))
}

// end lets no call begin any more, and waits for those under way until ctx ends.
func (s *managerCalls) end(ctx context.Context) {
	s.mu.Lock()
	s.ended = true
	if s.running > 0 && s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	if idle != nil {
		await(ctx, idle)
	}
}

// last is a call after end.
func (s *managerCalls) last(ctx context.Context, method string, f func(context.Context) error) *managerCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runLocked(ctx, method, f)
}
