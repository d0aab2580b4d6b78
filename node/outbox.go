package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

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
	attemptTimeout = 5 * time.Second
	retryPause     = 50 * time.Millisecond
)

// outbox sends this process's operations to the leader: numbered batches, one in
// flight, in order. Operations that arrive meanwhile form the next batch, so a
// lone caller never waits and many callers share an entry and its fsync.
//
// A batch whose fate is unknown is sent again, byte for byte, until it is
// answered: the state remembers the number and does it once.
type outbox struct {
	sid   string
	route *leaderRoute

	mu     sync.Mutex // guards all below
	queue  []*call    // not in a batch; may be withdrawn
	flight []*call    // in the batch that is being sent
	ops    int        // in queue
	bytes  int        // in queue
	err    error      // set: nothing is taken any more
	wake   chan struct{}
	idle   chan struct{} // non-nil while drain waits; closed when nothing is left
}

// call is one caller's operations.
type call struct {
	group *fsmpb.Group
	size  int
	done  chan answer // buffered: the outbox never waits for a caller
	gone  bool        // withdrawn; guarded by outbox.mu
}

type answer struct {
	index   uint64
	results []byte // one fsm.OpResult per operation
	err     error
}

func newOutbox(sid string, route *leaderRoute) *outbox {
	return &outbox{sid: sid, route: route, wake: make(chan struct{}, 1)}
}

// do waits until the group has been applied by the leader, or ctx ends. Its error
// is of one of the three classes.
func (o *outbox) do(ctx context.Context, g *fsmpb.Group) (answer, error) {
	if ctx.Err() != nil {
		return answer{}, notSent(ended(ctx))
	}
	c := &call{group: g, size: proto.Size(g) + 8, done: make(chan answer, 1)}
	if err := o.enqueue(c); err != nil {
		return answer{}, err
	}
	select {
	case a := <-c.done:
		return a, a.err
	case <-ctx.Done():
		return o.withdraw(ctx, c)
	}
}

func (o *outbox) enqueue(c *call) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return o.err
	case c.size > maxBatchBytes:
		return invalid("operations", "take %d bytes; at most %d are allowed", c.size, maxBatchBytes)
	case o.ops+len(c.group.Ops) > maxQueuedOps || o.bytes+c.size > maxQueuedBytes:
		return fmt.Errorf("%w: %d operations wait", ErrOverloaded, o.ops)
	}
	o.queue = append(o.queue, c)
	o.count(c, 1)
	o.signal()
	return nil
}

// withdraw takes c back if it is not in a batch yet. In a batch it stays, also
// without its caller: the bytes of a number never change.
func (o *outbox) withdraw(ctx context.Context, c *call) (answer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case a := <-c.done: // answered meanwhile
		return a, a.err
	default:
	}
	c.gone = true
	var noLeader error
	if id, _ := o.route.consensus.Leader(); id == "" {
		noLeader = ErrNoLeader
	}
	for i, q := range o.queue {
		if q == c {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			o.count(c, -1)
			o.reportIdle()
			return answer{}, notSent(noLeader, ended(ctx))
		}
	}
	return answer{}, outcomeUnknown(noLeader, ended(ctx))
}

// run sends batches of the life epoch, whose last number is last, until ctx ends.
func (o *outbox) run(ctx context.Context, epoch, last uint64) {
	for number := last + 1; ; {
		calls := o.take(ctx)
		if calls == nil {
			return
		}
		if o.commit(ctx, epoch, number, calls) {
			number++
		}
	}
}

// take waits for operations and a leader, and makes a batch of what waits by then.
func (o *outbox) take(ctx context.Context) []*call {
	for {
		select {
		case <-o.wake:
		case <-ctx.Done():
			return nil
		}
		if o.route.await(ctx) != nil {
			return nil
		}
		if calls := o.fill(); len(calls) > 0 {
			return calls
		}
	}
}

func (o *outbox) fill() []*call {
	o.mu.Lock()
	defer o.mu.Unlock()
	ops, bytes, n := 0, 0, 0
	for _, c := range o.queue {
		if n > 0 && (ops+len(c.group.Ops) > maxBatchOps || bytes+c.size > maxBatchBytes) {
			break
		}
		ops, bytes, n = ops+len(c.group.Ops), bytes+c.size, n+1
	}
	o.flight = o.queue[:n:n]
	o.queue = append([]*call(nil), o.queue[n:]...)
	for _, c := range o.flight {
		o.count(c, -1)
	}
	if len(o.queue) > 0 {
		o.signal()
	}
	return o.flight
}

// commit sends one batch until it is answered. It returns false if the batch
// certainly never entered the log; its calls wait in the queue again, where they
// can be withdrawn.
func (o *outbox) commit(ctx context.Context, epoch, number uint64, calls []*call) bool {
	batch := &fsmpb.Batch{OriginSid: o.sid, OriginEpoch: epoch, Number: number}
	for _, c := range calls {
		batch.Groups = append(batch.Groups, c.group)
	}
	data, err := proto.Marshal(batch)
	if err != nil {
		o.finish(calls, func(*call, int) answer { return answer{err: notSent(err)} })
		return false
	}
	for sealed := false; ; {
		_, changed := o.route.consensus.leadership()
		resp, err := o.attempt(ctx, data)
		switch {
		case err == nil && resp.GetDisposition() == peerpb.Disposition_DISPOSITION_APPLIED:
			o.settle(calls, resp, sealed)
			return true
		case err == nil && resp.GetDisposition() == peerpb.Disposition_DISPOSITION_REFUSED && !sealed:
			o.finish(calls, func(*call, int) answer {
				return answer{err: fmt.Errorf("%w: %s", ErrRejected, resp.GetReason())}
			})
			return false
		case err == nil && resp.GetDisposition() == peerpb.Disposition_DISPOSITION_NOT_SUBMITTED:
			if !sealed {
				o.putBack(calls)
				o.route.pause(ctx, changed, retryPause)
				return false
			}
		case errors.Is(err, ErrNoLeader) && !sealed:
			o.putBack(calls)
			return false
		default:
			sealed = true
		}
		if ctx.Err() != nil {
			o.finish(calls, func(*call, int) answer { return answer{err: outcomeUnknown(ended(ctx))} })
			return false
		}
		o.route.pause(ctx, changed, retryPause)
	}
}

func (o *outbox) attempt(ctx context.Context, data []byte) (*peerpb.WriteResponse, error) {
	leader, err := o.route.leader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := o.route.follow(ctx, attemptTimeout)
	defer cancel()
	return leader.Write(ctx, &peerpb.WriteRequest{Batch: data})
}

// settle hands every caller its part of the answer.
func (o *outbox) settle(calls []*call, resp *peerpb.WriteResponse, resent bool) {
	results := resp.GetResults()
	want := 0
	for _, c := range calls {
		want += len(c.group.Ops)
	}
	switch outcome := fsm.BatchOutcome(resp.GetBatch()); {
	case (outcome == fsm.BatchApplied || outcome == fsm.BatchRepeated) && len(results) == want:
		o.finish(calls, func(c *call, at int) answer {
			return answer{index: resp.GetIndex(), results: results[at : at+len(c.group.Ops)]}
		})
	case (outcome == fsm.BatchFenced || outcome == fsm.BatchForgotten) && !resent:
		o.finish(calls, func(*call, int) answer { return answer{err: ErrFenced} })
	default:
		// Sent more than once, and the record that would tell is gone.
		why := fmt.Errorf("batch outcome %d", outcome)
		o.finish(calls, func(*call, int) answer { return answer{err: outcomeUnknown(why)} })
	}
}

// finish answers the batch in flight; at is the position of the call's first operation.
func (o *outbox) finish(calls []*call, of func(c *call, at int) answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := 0
	for _, c := range calls {
		c.done <- of(c, at)
		at += len(c.group.Ops)
	}
	o.flight = nil
	o.reportIdle()
}

// putBack dissolves a batch that never entered the log.
func (o *outbox) putBack(calls []*call) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var kept []*call
	for _, c := range calls {
		if !c.gone {
			kept = append(kept, c)
			o.count(c, 1)
		}
	}
	o.queue = append(kept, o.queue...)
	o.flight = nil
	o.signal()
	o.reportIdle()
}

// refuse answers everything that waits, and all that comes, with err, which
// carries its class.
func (o *outbox) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	for _, c := range o.queue {
		c.done <- answer{err: err}
		o.count(c, -1)
	}
	o.queue = nil
	o.reportIdle()
}

// drain takes nothing more (err is the answer to what comes) and waits until all that was taken is answered.
func (o *outbox) drain(ctx context.Context, err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.idle = make(chan struct{})
	idle := o.idle
	o.reportIdle()
	o.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// reportIdle runs with mu held.
func (o *outbox) reportIdle() {
	if o.idle != nil && len(o.queue) == 0 && len(o.flight) == 0 {
		close(o.idle)
		o.idle = nil
	}
}

// count runs with mu held.
func (o *outbox) count(c *call, sign int) {
	o.ops += sign * len(c.group.Ops)
	o.bytes += sign * c.size
}

// signal runs with mu held.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
