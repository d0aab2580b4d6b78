package fsm

import (
	"container/heap"
	"context"
	"sync"
)

// waiters are those who wait for the state to reach an index. The lowest index
// is on top of a heap, so an applied entry looks at those it wakes and one
// more, however many thousands wait.
type waiters struct {
	mu      sync.Mutex // guards all below
	reached uint64
	heap    waitHeap
}

type waiter struct {
	index uint64
	done  chan struct{} // closed when it is reached
	at    int           // place in the heap; -1 once it was woken
}

// advance wakes everybody that index is enough for.
func (w *waiters) advance(index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reached = index
	for len(w.heap) > 0 && w.heap[0].index <= index {
		close(heap.Pop(&w.heap).(*waiter).done)
	}
}

// wait blocks until index is reached, or gives the cause of the context's end.
func (w *waiters) wait(ctx context.Context, index uint64) error {
	me := w.enter(index)
	if me == nil {
		return nil
	}
	select {
	case <-me.done:
		return nil
	case <-ctx.Done():
	}
	if w.leave(me) {
		return context.Cause(ctx)
	}
	return nil // both came at once, and the index is what was asked for
}

func (w *waiters) enter(index uint64) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reached >= index {
		return nil
	}
	me := &waiter{index: index, done: make(chan struct{})}
	heap.Push(&w.heap, me)
	return me
}

// leave takes a waiter out again; false if it was woken before.
func (w *waiters) leave(me *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if me.at < 0 {
		return false
	}
	heap.Remove(&w.heap, me.at)
	return true
}

// waitHeap is a container/heap by index.
type waitHeap []*waiter

func (h waitHeap) Len() int           { return len(h) }
func (h waitHeap) Less(i, j int) bool { return h[i].index < h[j].index }
func (h waitHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *waitHeap) Push(x any) {
	w := x.(*waiter)
	w.at = len(*h)
	*h = append(*h, w)
}

func (h *waitHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil // not kept alive by the array
	*h = (*h)[:last]
	w.at = -1
	return w
}
