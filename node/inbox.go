package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
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

	mu      sync.Mutex       // guards all below
	lanes   map[string]*lane // by Delivery.lane
	held    int              // waiting or with the handler
	bytes   int              // of those
	closed  bool
	running sync.WaitGroup
}

// lane is the queue of one channel; it exists while it has work.
type lane struct {
	queue  []*handing
	urgent int // so many of them are, at the front
}

// lane is the queue that a push belongs to: that of its channel, or of its pusher where it
// has none; everybody's are apart. No name has a NUL in it.
func (d *Delivery) lane() string {
	switch {
	case d.Channel != "":
		return d.Channel
	case d.Everybody:
		return "\x00everybody " + d.From
	}
	return "\x00from " + d.From
}

func (l *lane) put(h *handing) {
	if !h.urgent {
		l.queue = append(l.queue, h)
		return
	}
	l.queue = slices.Insert(l.queue, l.urgent, h)
	l.urgent++
}

func (l *lane) remove(i int) *handing {
	h := l.queue[i]
	l.queue = slices.Delete(l.queue, i, i+1)
	if i < l.urgent {
		l.urgent--
	}
	return h
}

// handing is one push on its way to the handler.
type handing struct {
	ctx     context.Context // who gave up waiting ends it
	d       *Delivery
	finder  finder  // nil: d has the receivers
	settler settler // told once
	urgent  bool    // overtakes those of the channel that are not
	full    peerpb.PushFull
	key     string // of the latest to keep
	size    int
	handler handlerContext
	leave   func() bool // stops waiting for the end of ctx; nil: it does not wait
}

// finder finds the receivers of a push when it is its turn, or what becomes of it without
// any. own: the list is of this push alone, and takes memory.
type finder interface {
	find(context.Context) (uids []string, own bool, missed *delivered)
}

// settler waits for what becomes of a push. It is told maybe under a lock, and must not
// block.
type settler interface{ settle(delivered) }

// delivered is a frontend's answer.
type delivered struct {
	outcome Outcome
	reason  string
	offline []string
}

// stillHandled is why it is not known whether a push reached anybody.
const stillHandled = "the handler has not answered in time"

func newInbox(handle PushHandler, log *slog.Logger) *inbox {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &inbox{handle: handle, log: log, ctx: ctx, cancel: cancel, lanes: make(map[string]*lane)}
}

// deliver waits for the handler's answer, or until ctx ends.
func (b *inbox) deliver(h *handing) delivered {
	done := make(answered, 1)
	h.settler = done
	b.submit(h)
	select {
	case a := <-done:
		return a
	case <-h.ctx.Done():
	}
	b.withdraw(h)
	select {
	case a := <-done: // it was in the queue, or at the same moment
		return a
	default:
		return delivered{outcome: Unknown, reason: stillHandled}
	}
}

// answered is a settler that somebody waits for.
type answered chan delivered

func (a answered) settle(d delivered) { a <- d }

// submit puts a push behind those of its channel. It does not block.
func (b *inbox) submit(h *handing) {
	if b == nil || b.handle == nil {
		h.settler.settle(delivered{outcome: NotDelivered, reason: "no push handler"})
		return
	}
	h.size = len(h.d.Msg) + sizeOf(h.d.uids)
	if reason := b.enqueue(h); reason != "" {
		h.settler.settle(delivered{outcome: NotDelivered, reason: reason})
	}
}

func (b *inbox) enqueue(h *handing) (refused string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return "the frontend is closing"
	}
	key := h.d.lane()
	l := b.lanes[key]
	if l != nil {
		b.giveWayLocked(l, h)
	}
	if b.fullLocked(l, h) {
		return delivery.QueueFull + ": the handler is too slow"
	}
	b.held++
	b.bytes += h.size
	if l != nil {
		h.leave = afterEnd(h.ctx, func() { b.withdraw(h) })
		l.put(h)
		return ""
	}
	l = new(lane)
	l.put(h)
	b.lanes[key] = l
	b.running.Go(func() { b.work(key, l) })
	return ""
}

func (b *inbox) fullLocked(l *lane, h *handing) bool {
	full := b.held >= maxInbox || b.held > 0 && b.bytes+h.size > maxInboxBytes
	return full || l != nil && len(l.queue) >= maxLaneQueue
}

// giveWayLocked drops what h says may be dropped for it.
func (b *inbox) giveWayLocked(l *lane, h *handing) {
	drop := func(i int, reason string) {
		b.droppedLocked(l.remove(i), reason)
	}
	switch h.full {
	case peerpb.PushFull_PUSH_FULL_KEEP_LATEST:
		replaced := func(o *handing) bool { return o.full == h.full && o.key == h.key && o.d.From == h.d.From }
		if i := slices.IndexFunc(l.queue, replaced); i >= 0 {
			drop(i, delivery.Replaced)
		}
	case peerpb.PushFull_PUSH_FULL_DROP_OLDEST:
		same := func(o *handing) bool { return o.urgent == h.urgent }
		for b.fullLocked(l, h) {
			i := slices.IndexFunc(l.queue, same)
			if i < 0 {
				return
			}
			drop(i, delivery.Dropped)
		}
	}
}

// afterEnd is context.AfterFunc, which wants the channel of a context even where that can
// do without one.
func afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if ctx, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return ctx.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// work empties one lane and ends. A handler may end this goroutine, as t.FailNow
// does; the rest of the lane then goes on in another one.
func (b *inbox) work(key string, l *lane) {
	emptied := false
	defer func() {
		if !emptied {
			b.running.Go(func() { b.work(key, l) })
		}
	}()
	for h := b.next(key, l); h != nil; h = b.next(key, l) {
		b.hand(h)
	}
	emptied = true
}

func (b *inbox) next(key string, l *lane) *handing {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(l.queue) == 0 {
		delete(b.lanes, key)
		return nil
	}
	h := l.remove(0)
	if h.leave != nil {
		h.leave()
	}
	return h
}

// withdraw takes h back and settles it, unless the handler has it. That is one step for
// whoever withdraws it at the same time.
func (b *inbox) withdraw(h *handing) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[h.d.lane()]
	if l == nil {
		return
	}
	if i := slices.Index(l.queue, h); i >= 0 {
		b.withdrawnLocked(l.remove(i))
	}
}

func (b *inbox) withdrawnLocked(h *handing) { b.droppedLocked(h, b.tooLate(h)) }

func (b *inbox) droppedLocked(h *handing, reason string) {
	b.releaseLocked(h)
	if h.leave != nil {
		h.leave()
	}
	h.settler.settle(delivered{outcome: NotDelivered, reason: reason})
}

// grow counts what h turned out to take, beyond what the queue knew.
func (b *inbox) grow(h *handing, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.size += bytes
	b.bytes += bytes
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

// sizeOf is about what uids take in memory.
func sizeOf(uids []string) (size int) {
	for _, uid := range uids {
		size += len(uid) + 16 // the string's header
	}
	return size
}

// close ends all handlers' contexts and waits for them until ctx ends. Who waits in a
// queue is settled at once, whatever the handlers do.
func (b *inbox) close(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	b.closed = true
	b.cancel(ErrClosed)
	for _, l := range b.lanes {
		for _, h := range l.queue {
			b.withdrawnLocked(h)
		}
		l.queue, l.urgent = nil, 0
	}
	b.mu.Unlock()
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
