package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// maxReason is how many bytes of a handler's error a report carries.
const maxReason = 1024

// hand answers h with whatever the handler does, even if it does not return.
func (b *inbox) hand(h *handing) {
	a, returned := delivered{outcome: NotDelivered}, false
	defer func() {
		if p := recover(); p != nil {
			a.reason = fmt.Sprintf("handler panicked: %v", p)
		} else if !returned {
			a.reason = "handler ended its goroutine"
		}
		a.reason = sendable(a.reason)
		if !returned {
			b.log.Error("push handler did not return", "channel", h.d.Channel, "route", h.d.Route, "reason", a.reason, "stack", string(debug.Stack()))
		}
		b.release(h)
		h.settler.settle(a)
	}()
	if reason := b.tooLate(h); reason != "" {
		a.reason = reason
	} else {
		a = b.call(h)
	}
	returned = true
}

func (b *inbox) call(h *handing) delivered {
	ctx := &h.handler
	ctx.h, ctx.inbox = h, b
	defer ctx.release()
	if h.finder != nil {
		uids, own, missed := h.finder.find(ctx)
		if missed != nil {
			return *missed
		}
		if h.d.uids = uids; own {
			b.grow(h, sizeOf(uids))
		}
	}
	offline, err := b.handle(ctx, h.d)
	var known *handlerOutcome
	switch {
	case errors.As(err, &known):
		return delivered{outcome: known.outcome, reason: known.reason}
	case err != nil:
		return delivered{outcome: NotDelivered, reason: "handler error: " + err.Error()}
	}
	return delivered{outcome: Delivered, offline: onlyReceivers(h.d, offline)}
}

// sendable makes a reason of any text: other processes get it in a protobuf string,
// which must be UTF-8 and should not be megabytes.
func sendable(text string) string {
	// Cut twice: before, to spare the work; after, because repair makes it longer.
	return cut(strings.ToValidUTF8(cut(text), "\uFFFD"))
}

// cut shortens text to maxReason at a rune boundary.
func cut(text string) string {
	if len(text) <= maxReason {
		return text
	}
	end := maxReason
	for end > maxReason-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// onlyReceivers drops what the handler calls offline but was never a receiver.
func onlyReceivers(d *Delivery, offline []string) []string {
	var out []string
	for _, uid := range offline {
		if checkUID(uid) == nil && d.Includes(uid) { // Everybody includes what no message could carry
			out = append(out, uid)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// handlerOutcome is how a handler that is not the user's, such as an attached
// frontend's stream, says more than "error".
type handlerOutcome struct {
	outcome Outcome
	reason  string
}

func (h *handlerOutcome) Error() string { return h.reason }

// handlerContext is the context of a handler: that of its push, which ends with the inbox
// too. What that costs is paid by handlers that wait for the end.
type handlerContext struct {
	h     *handing
	inbox *inbox
	both  atomic.Pointer[bothEnds] // nil: nobody waits
}

type bothEnds struct {
	context.Context
	cancel context.CancelCauseFunc
	stop   func() bool
}

// Deadline implements context.Context.
func (c *handlerContext) Deadline() (time.Time, bool) { return c.h.ctx.Deadline() }

// Done implements context.Context.
func (c *handlerContext) Done() <-chan struct{} {
	if both := c.both.Load(); both != nil {
		return both.Done()
	}
	both := new(bothEnds)
	both.Context, both.cancel = context.WithCancelCause(c.h.ctx)
	both.stop = context.AfterFunc(c.inbox.ctx, func() { both.cancel(ErrClosed) })
	if !c.both.CompareAndSwap(nil, both) {
		both.release()
	}
	return c.both.Load().Done()
}

func (b *bothEnds) release() {
	b.stop()
	b.cancel(nil)
}

// Err implements context.Context.
func (c *handlerContext) Err() error {
	if both := c.both.Load(); both != nil {
		return both.Err() // never another answer than Done's
	}
	if err := c.h.ctx.Err(); err != nil {
		return err
	}
	return c.inbox.ctx.Err()
}

// handlingKey asks a context whether it is a handler's, and of which channel.
type handlingKey struct{}

// Value implements context.Context.
func (c *handlerContext) Value(key any) any {
	if key == (handlingKey{}) {
		return c
	}
	return c.h.ctx.Value(key)
}

// release frees what Done has taken. Whoever asks afterwards is told that it is over.
func (c *handlerContext) release() {
	if c.both.CompareAndSwap(nil, returned) {
		return
	}
	c.both.Load().release()
}

// returned is the context of all handlers that have returned without asking for its end.
var returned = func() *bothEnds {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(nil)
	return &bothEnds{Context: ctx, cancel: cancel, stop: func() bool { return false }}
}()

// handling reports whether ctx belongs to a handler of a lane. A waiting push
// from there would wait for itself.
func handling(ctx context.Context, lane string) bool {
	for ctx != nil {
		c, ok := ctx.Value(handlingKey{}).(*handlerContext)
		if !ok {
			return false
		}
		if c.h.d.lane() == lane {
			return true
		}
		ctx = c.h.ctx // a handler's push to another channel may have led here
	}
	return false
}
