package demo

import (
	"context"
	"sync"
)

// gate holds players back while they are to be still.
type gate struct {
	mu      sync.Mutex // guards all below
	shut    bool
	active  int           // calls outstanding
	opened  chan struct{} // closed at the next open
	drained chan struct{} // closed when shut and active is 0
}

func newGate() *gate { return &gate{} }

// enter waits until the gate is open; false if ctx ended first.
func (g *gate) enter(ctx context.Context) bool {
	for {
		g.mu.Lock()
		if !g.shut {
			g.active++
			g.mu.Unlock()
			return true
		}
		opened := g.opened
		g.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
			return false
		}
	}
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	if g.shut && g.active == 0 {
		close(g.drained)
	}
}

// close lets nobody in any more; what it returns is closed once nobody is inside.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		g.shut = true
		g.opened, g.drained = make(chan struct{}), make(chan struct{})
		if g.active == 0 {
			close(g.drained)
		}
	}
	return g.drained
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		g.shut = false
		close(g.opened)
	}
}
