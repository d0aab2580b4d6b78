package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// frontends are those this process answers for: itself, and the attached ones.
type frontends struct {
	node *Node
	ids  repeatsByLife

	mu   sync.Mutex // guards live
	live map[string]*frontend
}

// frontend is one life that takes pushes here.
type frontend struct {
	incarnation string
	epoch       func(ctx context.Context, least uint64) (uint64, error) // waits for the registration of a life that is not older
	inbox       *inbox                                                  // nil: no handler
	left        chan struct{}                                           // non-nil while its end is being committed, closed then; guarded by frontends.mu
}

func newFrontends(n *Node) *frontends {
	return &frontends{node: n, live: make(map[string]*frontend)}
}

// put claims a sid. It fails while another life holds it here.
func (f *frontends) put(sid string, fe *frontend) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, held := f.live[sid]; held {
		return fmt.Errorf("%w: sid %q is already attached here", ErrRefused, sid)
	}
	f.live[sid] = fe
	return nil
}

// claim is put for a sid whose last life here may still be leaving: it waits for
// the end of that. Whoever comes back at once is not refused for good.
func (f *frontends) claim(ctx context.Context, sid string, fe *frontend) error {
	for {
		var left chan struct{}
		f.mu.Lock()
		if held := f.live[sid]; held != nil {
			left = held.left
		}
		f.mu.Unlock()
		if left == nil {
			return f.put(sid, fe)
		}
		select {
		case <-left:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// leave keeps the sid taken for a life that nobody answers for any more.
func (f *frontends) leave(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[sid].left = make(chan struct{})
}

// remove gives up the sid of a life that is leaving.
func (f *frontends) remove(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.live[sid].left)
	delete(f.live, sid)
}

func (f *frontends) get(sid string) *frontend {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live[sid]
}

// lifeHere returns the incarnation of sid's life in this process, "" if there is none.
func (f *frontends) lifeHere(sid string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fe := f.live[sid]; fe != nil && fe.left == nil {
		return fe.incarnation
	}
	return ""
}

// close ends all handlers and waits for them until ctx ends.
func (f *frontends) close(ctx context.Context) error {
	f.mu.Lock()
	all := slices.Collect(maps.Values(f.live))
	f.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, fe := range all {
		wg.Go(func() { errs[i] = fe.inbox.close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
