package delivery

import (
	"context"
	"sync"
	"time"
)

// patience is the context of a push at its frontend. Most are handled at once, so it has
// no channel and no timer until somebody wants to be told of its end.
type patience struct {
	deadline time.Time // zero: none

	mu    sync.Mutex // guards all below
	err   error
	done  chan struct{}
	timer *time.Timer
	after *func()              // the first one to be run
	more  map[*func()]struct{} // the others
}

var _ interface {
	context.Context
	AfterFunc(func()) func() bool // what context.AfterFunc looks for
} = (*patience)(nil)

// Deadline implements context.Context.
func (p *patience) Deadline() (time.Time, bool) { return p.deadline, !p.deadline.IsZero() }

// Value implements context.Context.
func (p *patience) Value(any) any { return nil }

// Err implements context.Context.
func (p *patience) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.deadline.IsZero() && !time.Now().Before(p.deadline) {
		p.endLocked(context.DeadlineExceeded)
	}
	return p.err
}

// Done implements context.Context.
func (p *patience) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
		if p.err != nil {
			close(p.done)
		}
	}
	p.watchLocked()
	return p.done
}

// AfterFunc runs f in a goroutine of its own after the end, unless stop comes first.
func (p *patience) AfterFunc(f func()) (stop func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		go f()
		return func() bool { return false }
	}
	switch {
	case p.after == nil:
		p.after = &f
	case p.more == nil:
		p.more = map[*func()]struct{}{&f: {}}
	default:
		p.more[&f] = struct{}{}
	}
	p.watchLocked()
	return func() bool { return p.stop(&f) }
}

func (p *patience) stop(f *func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.after == f {
		p.after = nil
		return true
	}
	_, waits := p.more[f]
	delete(p.more, f)
	return waits
}

// watchLocked starts the timer, once.
func (p *patience) watchLocked() {
	if p.err == nil && p.timer == nil && !p.deadline.IsZero() {
		p.timer = time.AfterFunc(time.Until(p.deadline), func() { p.end(context.DeadlineExceeded) })
	}
}

func (p *patience) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(err)
}

func (p *patience) endLocked(err error) {
	if p.err != nil {
		return
	}
	p.err = err
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.done != nil {
		close(p.done)
	}
	if p.after != nil {
		go (*p.after)()
	}
	for f := range p.more {
		go (*f)()
	}
	p.after, p.more = nil, nil
}
