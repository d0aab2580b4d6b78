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

// counts are those so far.
func (p *progress) counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.done)
}

// await waits for n more, of each of via by itself; what names them in the error.
func (p *progress) await(ctx context.Context, what string, n int, via []string) error {
	before := p.counts()
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
