package node

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
)

// host runs the callbacks that nobody waits for, each kind one at a time and in
// order: OnFenced and Online. They may take their time; Close waits for them only as
// long as its step may take.
type host struct {
	node  *Node
	calls chan Fenced
	wg    sync.WaitGroup
}

// maxFencedCalls may wait for a callback that does not return.
const maxFencedCalls = 16

func newHost(n *Node) *host { return &host{node: n, calls: make(chan Fenced, maxFencedCalls)} }

// start runs until ctx ends.
func (h *host) start(ctx context.Context) {
	if h.node.cfg.OnFenced != nil {
		h.wg.Go(func() {
			for {
				select {
				case f := <-h.calls:
					h.tell(ctx, f)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	if h.node.cfg.Online != nil {
		h.wg.Go(func() { h.node.presence.run(ctx) })
	}
}

// fenced hands the news over, unless the node closes: then it is no news.
func (h *host) fenced(f Fenced) {
	if h.node.cfg.OnFenced == nil || h.node.closing.Load() {
		return
	}
	select {
	case h.calls <- f:
	default:
		h.node.log.Error("OnFenced does not return, and is not told", "old", f.Old, "new", f.New)
	}
}

func (h *host) tell(ctx context.Context, f Fenced) {
	defer func() {
		if p := recover(); p != nil {
			h.node.log.Error("OnFenced panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	h.node.cfg.OnFenced(ctx, f)
}

var errCallback = errors.New("a callback (OnFenced or Online) has not returned")

// close waits for what runs, after the end of start's context, until ctx ends.
func (h *host) close(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		h.wg.Wait()
		close(idle)
	}()
	if !await(ctx, idle) {
		return errCallback
	}
	return nil
}
