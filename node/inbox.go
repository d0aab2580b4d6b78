package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// Bounds of what a frontend holds for its handler. Who gave up waiting leaves the
// queue; what the handler has counts until it returns, for so long it is in memory.
const (
	maxLaneQueue  = 256      // pushes of one channel that wait
	maxInbox      = 8192     // pushes of all channels, waiting or with the handler
	maxInboxBytes = 64 << 20 // of those, but a single one may be larger
)

// inbox hands pushes to one frontend's handler: those of one channel one at a
// time and in order, those of different channels side by side. A handler that
// blocks or panics holds up its own channel only.
type inbox struct {
	handle PushHandler
	log    *slog.Logger
	ctx    context.Context // of all handlers; ends with the frontend
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards all below
	lanes   map[string]*lane
	held    int // waiting or with the handler
	bytes   int // of those
	closed  bool
	running sync.WaitGroup
}

// lane is the queue of one channel; it exists while it has work.
type lane struct{ queue []*handing }

// handing is one push on its way to the handler.
type handing struct {
	ctx  context.Context
	d    *Delivery
	size int
	done chan delivered // buffered
}

// delivered is a frontend's answer.
type delivered struct {
	outcome Outcome
	reason  string
	offline []string
}

func newInbox(handle PushHandler, log *slog.Logger) *inbox {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &inbox{handle: handle, log: log, ctx: ctx, cancel: cancel, lanes: make(map[string]*lane)}
}

// deliver waits for the handler's answer, or until ctx ends.
func (b *inbox) deliver(ctx context.Context, d *Delivery) delivered {
	if b == nil || b.handle == nil {
		return delivered{outcome: NotDelivered, reason: "no push handler"}
	}
	h := &handing{ctx: ctx, d: d, size: sizeOf(d), done: make(chan delivered, 1)}
	if reason := b.enqueue(h); reason != "" {
		return delivered{outcome: NotDelivered, reason: reason}
	}
	select {
	case a := <-h.done:
		return a
	case <-ctx.Done():
	case <-b.ctx.Done():
	}
	if b.withdraw(h) {
		return delivered{outcome: NotDelivered, reason: b.tooLate(h)}
	}
	select {
	case a := <-h.done: // at the same moment
		return a
	default:
	}
	if ctx.Err() == nil {
		return delivered{outcome: Unknown, reason: "the frontend closed"}
	}
	return delivered{outcome: Unknown, reason: "the handler has not answered in time"}
}

func (b *inbox) enqueue(h *handing) (refused string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return "the frontend is closing"
	}
	l := b.lanes[h.d.Channel]
	full := b.held >= maxInbox || (b.held > 0 && b.bytes+h.size > maxInboxBytes)
	if full || (l != nil && len(l.queue) >= maxLaneQueue) {
		return "queue full: the handler is too slow"
	}
	b.held++
	b.bytes += h.size
	if l != nil {
		l.queue = append(l.queue, h)
		return ""
	}
	l = &lane{queue: []*handing{h}}
	b.lanes[h.d.Channel] = l
	b.running.Go(func() { b.work(h.d.Channel, l) })
	return ""
}

// work empties one lane and ends. A handler may end this goroutine, as t.FailNow
// does; the rest of the lane then goes on in another one.
func (b *inbox) work(channel string, l *lane) {
	emptied := false
	defer func() {
		if !emptied {
			b.running.Go(func() { b.work(channel, l) })
		}
	}()
	for h := b.next(channel, l); h != nil; h = b.next(channel, l) {
		b.hand(h)
	}
	emptied = true
}

func (b *inbox) next(channel string, l *lane) *handing {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.queue) == 0 {
		delete(b.lanes, channel)
		return nil
	}
	h := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	return h
}

// withdraw takes h back, unless the handler has it.
func (b *inbox) withdraw(h *handing) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[h.d.Channel]
	if l == nil {
		return false
	}
	i := slices.Index(l.queue, h)
	if i < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	b.releaseLocked(h)
	return true
}

func (b *inbox) release(h *handing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked(h)
}

func (b *inbox) releaseLocked(h *handing) {
	b.held--
	b.bytes -= h.size
}

// tooLate says why h must not go to the handler any more, "" if it may.
func (b *inbox) tooLate(h *handing) string {
	switch {
	case b.ctx.Err() != nil:
		return "the frontend closed"
	case h.ctx.Err() != nil:
		return "the deadline passed in the queue"
	}
	return ""
}

// sizeOf is about what d takes in memory.
func sizeOf(d *Delivery) int {
	size := len(d.Msg)
	for _, uid := range d.uids {
		size += len(uid) + 16 // the string's header
	}
	return size
}

// close ends all handlers' contexts and waits for them until ctx ends.
func (b *inbox) close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel(ErrClosed)
	done := make(chan struct{})
	go func() {
		b.running.Wait()
		close(done)
	}()
	if !await(ctx, done) {
		return errors.New("a push handler does not return")
	}
	return nil
}
