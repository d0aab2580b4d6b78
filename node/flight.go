package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// How batches travel; measured with cmd/bench on three nodes that share a disk.
const (
	// maxLinger is how long a batch waits at most for the callers of the one before it
	// to come back, and never longer than half of what that one took. Without it they
	// split in two halves, each of which waits for the other's commit: at 50 callers
	// 11,000/s instead of 14,000 to 20,000/s (bbolt), 20,000 instead of 27,000 to
	// 29,000/s (WAL), medians on a disk with 0.4 ms per fsync. A lone caller is never
	// waited for.
	maxLinger = time.Millisecond
	// answerTimeout is how long a leader may be silent before the batches are sent
	// again on another stream: its machine may be gone without a word.
	answerTimeout = 5 * time.Second
	retryPauseMin = 20 * time.Millisecond
	retryPauseMax = 200 * time.Millisecond
)

// flight is the numbered batches that are not answered yet, in their order. They
// are sent again, byte for byte, after any error and to any new leader, until they
// are answered: the state remembers the numbers and does each once. An outbox's
// mutex guards it.
type flight struct {
	origin  origin
	number  uint64   // of the last batch
	batches []*batch // at most fsm.Window
	link    *link    // on which they travel; nil: none

	back      int       // callers of the last answered batch, who may come back
	backUntil time.Time // are waited for until then
}

// origin is the life that numbers the batches.
type origin struct {
	sid   string
	epoch uint64
}

type batch struct {
	number uint64
	calls  []*call
	data   []byte
	first  time.Time // sent for the first time
	sent   time.Time // sent for the last time
	link   *link     // on which it was sent last and is not answered; nil: none
	// exposed: an earlier sending may have entered the log, or may yet do so. Until
	// then the batch can be dissolved, and its callers told that nothing was sent.
	exposed bool
	fenced  bool // it has no effect, and never will: the life was over before it
}

// due says whether another batch should be made now. A batch is closed when the
// wire is free; only full ones follow each other without an answer.
func (f *flight) due(q *queue) bool {
	switch {
	case q.len() == 0, f.link != nil && f.link.failed:
		return false
	case len(f.batches) == 0:
		return q.len() >= f.back
	}
	return f.number-f.batches[0].number+1 < fsm.Window && (q.ops >= maxBatchOps || q.bytes >= maxBatchBytes)
}

// seal makes a batch of what waits.
func (f *flight) seal(q *queue, l *link) *batch {
	f.number++
	b := &batch{number: f.number, calls: q.take(maxBatchOps, maxBatchBytes)}
	groups := make([][]byte, len(b.calls))
	for i, c := range b.calls {
		c.taken = true
		groups[i] = c.group
	}
	b.data = fsm.AppendBatch(nil, f.origin.sid, f.origin.epoch, b.number, groups...)
	f.batches = append(f.batches, b)
	f.back = 0
	f.board(b, l)
	return b
}

func (f *flight) board(b *batch, l *link) {
	b.link, b.sent = l, time.Now()
	if b.first.IsZero() {
		b.first = b.sent
	}
}

// unlink forgets the link: what was sent on it without an answer may be in the log
// or not. Batches at the end that certainly never entered it are dissolved.
func (f *flight) unlink(q *queue) {
	for _, b := range f.batches {
		if b.link != nil {
			b.link, b.exposed = nil, true
		}
	}
	f.link, f.back = nil, 0
	for n := len(f.batches); n > 0 && !f.batches[n-1].exposed; n-- {
		for _, c := range f.batches[n-1].calls {
			c.taken = false
		}
		q.pushFront(f.batches[n-1].calls)
		f.batches = f.batches[:n-1]
		f.number--
	}
}

// run sends batches of the life that was entered last, until ctx ends. What is
// unanswered then stays: the next life settles it, or abandon does.
func (o *outbox) run(ctx context.Context) {
	for pause := retryPauseMin; o.wanted(ctx) && o.route.await(ctx) == nil && ctx.Err() == nil; {
		changed := o.route.changed()
		if o.serve(ctx) {
			pause = retryPauseMin
		}
		o.route.pause(ctx, changed, pause)
		pause = min(2*pause, retryPauseMax)
	}
}

// wanted waits until there is something to send; false if ctx ended first.
func (o *outbox) wanted(ctx context.Context) bool {
	for {
		o.mu.Lock()
		something := o.queue.len() > 0 || len(o.flight.batches) > 0
		o.mu.Unlock()
		if something {
			return true
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return false
		}
	}
}

// serve sends to one leader until that is over. It reports whether any batch was
// answered for good.
func (o *outbox) serve(ctx context.Context) (progress bool) {
	ctx, cancel := o.route.follow(ctx, 0)
	defer cancel()
	l := &link{over: cancel}
	if err := o.route.open(ctx, l, func(resp *peerpb.WriteResponse) { o.answered(l, resp) }); err != nil {
		return false
	}
	defer l.readers.Wait() // its context has ended by then
	defer cancel()
	o.mu.Lock()
	o.flight.link = l
	again := slices.Clone(o.flight.batches)
	for _, b := range again {
		o.flight.board(b, l)
	}
	o.mu.Unlock()
	for _, b := range again {
		if l.send(b) != nil {
			cancel()
		}
	}
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	for b := o.next(ctx, l, timer); b != nil && l.send(b) == nil; {
		b = o.next(ctx, l, timer)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flight.unlink(&o.queue)
	o.reportIdle()
	return l.progress
}

// next waits until there is a batch to send; nil when the link is over.
func (o *outbox) next(ctx context.Context, l *link, timer *time.Timer) *batch {
	for {
		o.mu.Lock()
		f := &o.flight
		if f.back > 0 && !time.Now().Before(f.backUntil) {
			f.back = 0
		}
		if ctx.Err() == nil && f.due(&o.queue) {
			defer o.mu.Unlock()
			return f.seal(&o.queue, l)
		}
		wait := answerTimeout
		switch {
		case len(f.batches) > 0:
			last := f.batches[0].sent
			if l.heard.After(last) {
				last = l.heard // it is only slow
			}
			wait = time.Until(last.Add(answerTimeout))
		case f.back > 0:
			wait = time.Until(f.backUntil)
		}
		silent := len(f.batches) > 0 && wait <= 0
		o.mu.Unlock()
		if silent {
			return nil
		}
		timer.Reset(wait)
		select {
		case <-o.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// answered takes a leader's answer. Those of a link that is over come too late:
// what they are about has been, or will be, sent again.
func (o *outbox) answered(l *link, resp *peerpb.WriteResponse) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := &o.flight
	at := slices.IndexFunc(f.batches, func(b *batch) bool { return b.number == resp.GetNumber() && b.link == l })
	if f.link != l || at < 0 {
		return
	}
	l.heard = time.Now()
	b := f.batches[at]
	outcome := fsm.BatchOutcome(resp.GetBatch())
	switch d := resp.GetDisposition(); {
	case d == peerpb.Disposition_DISPOSITION_APPLIED && (outcome == fsm.BatchFenced || outcome == fsm.BatchForgotten):
		// Its callers hear it when this process is registered again, which says of each
		// batch before what became of it.
		b.fenced = outcome == fsm.BatchFenced || !b.exposed
		l.failed = true
		if o.over != nil {
			o.over(f.origin.epoch)
		}
	case d == peerpb.Disposition_DISPOSITION_APPLIED && outcome != fsm.BatchGap:
		f.batches = slices.Delete(f.batches, at, at+1)
		l.progress = l.progress || len(b.calls) > 0 // else it stands for one that was given up
		o.settle(b, resp, outcome)
		if f.due(&o.queue) || f.back > 0 {
			o.signal()
		}
	case d == peerpb.Disposition_DISPOSITION_UNKNOWN:
		b.exposed, l.failed = true, true
	case d == peerpb.Disposition_DISPOSITION_REFUSED && !b.exposed:
		o.giveUp(b, resp.GetReason())
		l.failed = true
	default: // this sending had no effect, and never will
		l.failed = true
	}
	b.link = nil
	// After a failure all that is unanswered is sent again, from the oldest on. But
	// first what is still to be said of the others is heard: it may be that none was
	// submitted.
	if l.failed && !slices.ContainsFunc(f.batches, func(b *batch) bool { return b.link == l }) {
		l.over()
	}
}

// giveUp answers the callers of a batch that was never sent before and that this
// leader cannot read. Its number must be used all the same, for the sake of those
// that may be behind it: by a batch without operations. Goodbyes, which have no
// caller who would try again, wait for another leader. It runs with mu held.
func (o *outbox) giveUp(b *batch, reason string) {
	refused := fmt.Errorf("%w: %s", ErrRejected, reason)
	var goodbyes []*call
	for _, c := range b.calls {
		if c.player != "" {
			goodbyes = append(goodbyes, c)
			continue
		}
		c.answer(answer{err: refused})
	}
	o.queue.pushFront(goodbyes)
	b.calls, b.exposed = nil, true
	b.data = fsm.AppendBatch(nil, o.flight.origin.sid, o.flight.origin.epoch, b.number)
}

// settle hands every caller of an answered batch its part. It runs with mu held.
func (o *outbox) settle(b *batch, resp *peerpb.WriteResponse, outcome fsm.BatchOutcome) {
	f, results := &o.flight, resp.GetResults()
	want := 0
	for _, c := range b.calls {
		want += c.ops
	}
	var err error
	switch {
	case (outcome == fsm.BatchApplied || outcome == fsm.BatchRepeated) && len(results) == want:
		if o.note != nil {
			o.note(b.first, resp.GetIndex())
		}
		if o.settled != nil {
			o.settled(want, time.Since(b.first))
		}
	case outcome == fsm.BatchFenced:
		err = ErrFenced
	default:
		// Sent more than once, and the record that would tell is gone.
		err = outcomeUnknown(fmt.Errorf("batch outcome %d", outcome))
	}
	for _, c := range b.calls {
		a := answer{index: resp.GetIndex(), err: err}
		if err == nil {
			a.results, results = results[:c.ops:c.ops], results[c.ops:]
		}
		c.answer(a)
	}
	// Only while something is served: until then, nobody would give up waiting for them.
	if f.link != nil && len(b.calls) > 1 && len(f.batches) == 0 {
		now := time.Now()
		f.back, f.backUntil = len(b.calls), now.Add(min(maxLinger, now.Sub(b.sent)/2))
	}
	o.reportIdle()
}
