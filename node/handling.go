package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
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
		h.settle(a)
	}()
	if reason := b.tooLate(h); reason != "" {
		a.reason = reason
	} else {
		a = b.call(h)
	}
	returned = true
}

func (b *inbox) call(h *handing) delivered {
	ctx, cancel := context.WithCancelCause(withHandling(h.ctx, h.d.Channel))
	defer cancel(nil)
	stop := context.AfterFunc(b.ctx, func() { cancel(ErrClosed) })
	defer stop()
	if h.find != nil {
		uids, a := h.find(ctx)
		if a != nil {
			return *a
		}
		h.d.uids = uids
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
		if d.Includes(uid) {
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

// handlingKey marks a handler's context with the channel being handled.
type handlingKey struct{ channel string }

func withHandling(ctx context.Context, channel string) context.Context {
	return context.WithValue(ctx, handlingKey{channel}, true)
}

// handling reports whether ctx belongs to a handler of channel. A waiting push
// from there would wait for itself.
func handling(ctx context.Context, channel string) bool {
	return ctx.Value(handlingKey{channel}) != nil
}
