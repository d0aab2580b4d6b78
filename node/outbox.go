package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Bounds of the outbox. An entry of at most 256 KiB does not hold up heartbeats;
// the queue holds what a login storm needs and no more memory than that.
const (
	maxBatchOps    = 4096
	maxBatchBytes  = 240 << 10
	maxQueuedOps   = 1 << 16
	maxQueuedBytes = 32 << 20
)

// outbox takes this process's operations and has them committed, each once and in
// the order in which they came. Operations that come while a batch is on its way
// form the next one, so a lone caller never waits and many callers share an entry
// and its fsync. This file is the callers' side; flight.go is the leader's.
type outbox struct {
	sid      string
	route    routeToLeader
	note     func(sent time.Time, index uint64)       // of every batch that was applied
	settled  func(operations int, took time.Duration) // of those too, for whoever counts; nil: nobody
	timeout  time.Duration                            // for callers without a deadline
	calls    sync.Pool                                // of *call
	over     func(epoch uint64)                       // a batch was refused because its life is over; must not block
	attached func(sid string) bool                    // a frontend with that sid is, or was, attached here and may come back; nil: none

	mu        sync.Mutex             // guards all below
	queue     queue                  // in no batch yet; may be withdrawn
	flight    flight                 // numbered
	err       error                  // set: nothing is taken any more
	unremoved map[string][]*fsmpb.Op // by sid of attached frontends: removals of the last life that are for their return
	carries   bool                   // the registration that is under way, or was, names the removals of flight
	wake      chan struct{}
	idle      chan struct{} // non-nil while drain waits; closed when nothing is left
}

// routeToLeader is what the outbox needs of leaderRoute.
type routeToLeader interface {
	known() bool
	changed() <-chan struct{}
	await(ctx context.Context) error
	follow(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)
	open(ctx context.Context, l *link, answer func(*peerpb.WriteResponse)) error
	pause(ctx context.Context, changed <-chan struct{}, d time.Duration)
}

// call is one caller's operations: all of them take effect, or none.
type call struct {
	group []byte // as it stands in a batch
	ops   int
	done  chan answer // buffered: the outbox never waits for a caller; nil: there is none
	// player is set for a goodbye, which has no caller.
	player  string
	session uint64      // of the goodbye
	timer   *time.Timer // for callers without a deadline
	gone    bool        // withdrawn; guarded by outbox.mu
	taken   bool        // in a batch; guarded by outbox.mu
}

type answer struct {
	index   uint64
	results []byte // one fsm.OpResult per operation
	err     error
}

func (c *call) answer(a answer) {
	if c.done != nil {
		c.done <- a
	}
}

func newOutbox(sid string, route routeToLeader, timeout time.Duration, note func(time.Time, uint64)) *outbox {
	return &outbox{sid: sid, route: route, timeout: timeout, note: note, wake: make(chan struct{}, 1)}
}

// do waits until the operations have been applied by the leader, or ctx ends. Its
// error is of one of the three classes.
func (o *outbox) do(ctx context.Context, seen uint64, ops ...fsm.Op) (answer, error) {
	if ctx.Err() != nil {
		return answer{}, notSent(ended(ctx))
	}
	c, err := o.begin(seen, ops...)
	if err != nil {
		return answer{}, err
	}
	return o.end(ctx, c)
}

// begin puts operations into the queue; end waits for what becomes of them. The
// order of begins is the order in which they take effect. seen is the index that
// this node's replica had applied when the operations were made.
func (o *outbox) begin(seen uint64, ops ...fsm.Op) (*call, error) {
	c, ok := o.calls.Get().(*call)
	if !ok {
		c = &call{done: make(chan answer, 1)}
	}
	c.group, c.ops = fsm.AppendGroup(c.group[:0], seen, ops...), len(ops)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return nil, o.err
	case len(c.group) > maxBatchBytes:
		return nil, invalid("operations", "take %d bytes; at most %d are allowed", len(c.group), maxBatchBytes)
	case o.queue.ops+c.ops > maxQueuedOps || o.queue.bytes+len(c.group) > maxQueuedBytes:
		return nil, fmt.Errorf("%w: %d operations wait", ErrOverloaded, o.queue.ops)
	}
	o.queue.push(c)
	if o.flight.due(&o.queue) {
		o.signal()
	}
	return c, nil
}

// keep is begin for a player's goodbye, for which nobody waits: it stays until it is
// answered for good, or the outbox ends. What is kept is bounded by who was here, see
// pushGoodbye; it is never refused for want of room.
func (o *outbox) keep(seen uint64, goodbye fsm.Op) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.queue.pushGoodbye(&call{
		group: fsm.AppendGroup(nil, seen, goodbye), ops: 1, player: goodbye.UID, session: goodbye.Session,
	})
	if o.flight.due(&o.queue) {
		o.signal()
	}
}

// end waits until c is answered or ctx ends; without a deadline, for the node's
// own timeout. There is one end for each begin.
func (o *outbox) end(ctx context.Context, c *call) (answer, error) {
	var late <-chan time.Time
	if _, ok := ctx.Deadline(); !ok {
		// A context of our own would cost more than all the rest of a call.
		if c.timer == nil {
			c.timer = time.NewTimer(o.timeout)
		} else {
			c.timer.Reset(o.timeout)
		}
		late = c.timer.C
	}
	select {
	case a := <-c.done:
		if late != nil {
			c.timer.Stop()
		}
		c.taken = false
		o.calls.Put(c) // it is in no queue and no batch any more
		return a, a.err
	case <-ctx.Done():
		return o.withdraw(c, ended(ctx))
	case <-late:
		return o.withdraw(c, context.DeadlineExceeded)
	}
}

// withdraw takes c back if it is in no batch yet. In a batch it stays, also
// without its caller: the bytes of a number never change.
func (o *outbox) withdraw(c *call, why error) (answer, error) {
	var noLeader error
	if !o.route.known() {
		noLeader = ErrNoLeader
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case a := <-c.done: // answered meanwhile
		return a, a.err
	default:
	}
	c.gone = true
	if c.taken {
		return answer{}, outcomeUnknown(noLeader, why)
	}
	o.queue.withdrew(c)
	o.reportIdle()
	return answer{}, notSent(noLeader, why)
}

// load is what waits here, and the batches that are sent and not answered.
func (o *outbox) load() (operations, batches int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue.ops, len(o.flight.batches)
}

// refuse answers everything that waits, and all that comes, with err, which
// carries its class.
func (o *outbox) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	for _, c := range o.queue.takeAll() {
		c.answer(answer{err: err})
	}
	o.reportIdle()
}

// drain takes nothing more (err is the answer to what comes) and waits until all
// that was taken is answered.
func (o *outbox) drain(ctx context.Context, err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	idle := make(chan struct{})
	o.idle = idle
	o.reportIdle()
	o.mu.Unlock()
	await(ctx, idle)
}

// reportIdle runs with mu held.
func (o *outbox) reportIdle() {
	if o.idle != nil && o.queue.len() == 0 && len(o.flight.batches) == 0 {
		close(o.idle)
		o.idle = nil
	}
}

// signal runs with mu held.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
