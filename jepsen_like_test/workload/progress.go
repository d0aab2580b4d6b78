package workload

import (
	"context"
	"fmt"
	"maps"
	"sync"
)

// progress counts what was acknowledged, by the server that was asked, and lets
// a test wait for more. The zero value is ready.
type progress struct {
	mu      sync.Mutex // guards all below
	done    map[string]int
	changed chan struct{} // closed at the next one; nil: nobody waits
}

func (p *progress) add(via string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(map[string]int)
	}
	p.done[via]++
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// goal is n more from now on, of each of via by itself; what names them in the
// error of wait.
func (p *progress) goal(what string, n int, via []string) (wait func(context.Context) error) {
	p.mu.Lock()
	before := maps.Clone(p.done)
	p.mu.Unlock()
	return func(ctx context.Context) error {
		for {
			short, changed := p.short(n, via, before)
			if short == "" {
				return nil
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("wait for %s: %w: %s", what, context.Cause(ctx), short)
			}
		}
	}
}

// short says who has not done n more than before, and what to wait on.
func (p *progress) short(n int, via []string, before map[string]int) (short string, changed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	for _, sid := range via {
		if got := p.done[sid] - before[sid]; got < n {
			return fmt.Sprintf("%d of %d acknowledged by %s", got, n, sid), p.changed
		}
	}
	return "", p.changed
}
