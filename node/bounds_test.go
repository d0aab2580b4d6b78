package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func TestOutbox_RefusesMoreThanItsQueueHolds(t *testing.T) {
	o := newOutbox("c1", nil, time.Hour, nil)
	begin := func(ops int, name string) error {
		group := make([]fsm.Op, ops)
		for i := range group {
			group[i] = fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: name}
		}
		_, err := o.begin(1, group...)
		return err
	}
	for range maxQueuedOps / maxBatchOps {
		if err := begin(maxBatchOps, "w"); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin(1, "w"); !errors.Is(err, ErrOverloaded) || !errors.Is(err, ErrNotSent) {
		t.Errorf("one operation too many: %v", err)
	}
	waiting := o.queue.len()
	o.keep(1, fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE_ALL, UID: "alice", SID: "c1"})
	if o.queue.len() != waiting+1 {
		t.Error("a goodbye was refused for want of room")
	}
	o = newOutbox("c1", nil, time.Hour, nil)
	long := strings.Repeat("x", maxBatchBytes-20)
	for range maxQueuedBytes / maxBatchBytes {
		if err := begin(1, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin(1, long); !errors.Is(err, ErrOverloaded) {
		t.Errorf("too many bytes: %v", err)
	}
	if err := begin(1, long+long); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a group over the size of a batch: %v", err)
	}
}

func TestInbox_RefusesMoreThanItsQueueHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(func(ctx context.Context, _ *Delivery) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, slog.New(slog.DiscardHandler))
		answers := make(chan delivered, maxLaneQueue+1)
		push := func() { answers <- b.deliver(&handing{ctx: t.Context(), d: &Delivery{Channel: "world"}}) }
		go push()
		synctest.Wait() // with the handler
		for range maxLaneQueue {
			go push()
		}
		synctest.Wait()
		got := b.deliver(&handing{ctx: t.Context(), d: &Delivery{Channel: "world"}})
		if got.outcome != NotDelivered || !strings.Contains(got.reason, "queue full") {
			t.Errorf("%+v", got)
		}
		if err := b.close(t.Context()); err != nil {
			t.Error(err)
		}
		for range maxLaneQueue + 1 {
			if a := <-answers; a.outcome == Delivered {
				t.Errorf("%+v", a)
			}
		}
		if got := b.deliver(&handing{ctx: t.Context(), d: &Delivery{Channel: "world"}}); got.outcome != NotDelivered {
			t.Errorf("after close: %+v", got)
		}
	})
}

func TestStatus_EveryErrorKeepsItsIdentityOverTheWire(t *testing.T) {
	all := []error{
		ErrRejected, ErrNotSent, ErrOutcomeUnknown,
		ErrInvalidArgument, ErrServerGone, ErrUnknownServer, ErrFenced, ErrAborted, ErrLimit, ErrUnsupported,
		ErrOverloaded, ErrReentrant, ErrNoLeader, ErrClosed,
		ErrPushFailed, ErrStale, ErrReplicaBehind, ErrHalted, ErrRefused,
		context.DeadlineExceeded, context.Canceled,
	}
	for _, sent := range append(all,
		notSent(ErrNoLeader, context.DeadlineExceeded),
		outcomeUnknown(ErrClosed),
		outcomeUnknown(ErrNoLeader, context.DeadlineExceeded),
		notSent(context.Canceled),
	) {
		got := FromStatus(toStatus(fmt.Errorf("add to %q: %w", "world", sent)))
		for _, is := range all {
			if errors.Is(got, is) != errors.Is(sent, is) {
				t.Errorf("%q came as %q: matches %q: %v", sent, got, is, errors.Is(got, is))
			}
		}
		if !strings.Contains(got.Error(), sent.Error()) {
			t.Errorf("%q came as %q", sent, got)
		}
	}
	if err := FromStatus(toStatus(nil)); err != nil {
		t.Error(err)
	}
	foreign := errors.New("foreign")
	if err := FromStatus(foreign); err != foreign {
		t.Error(err)
	}
}
