package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	readIndexTimeout  = 5 * time.Second // of one request
	readIndexPauseMin = 20 * time.Millisecond
	readIndexPauseMax = time.Second
)

// readIndexes asks the leader for read indexes: an index at which everything is
// visible that was acknowledged anywhere before the request was sent. One request
// is under way at a time, for all reads that began before it was sent; those that
// come meanwhile share the next one. It repeats a request that failed until nobody
// waits for it any more. (Section 6.4 of the Raft dissertation has the idea; here
// the leader proves itself by committing an entry.)
type readIndexes struct {
	leader indexLeader
	age    *age

	ctx    context.Context // of the requests; close ends it
	cancel context.CancelFunc
	group  sync.WaitGroup // of what spawn started

	mu      sync.Mutex // guards all below
	closed  bool
	running bool
	waiting map[*indexRead]struct{} // for the next request
	flight  map[*indexRead]struct{} // for the answer to the one that was sent
	sent    time.Time               // of that one; zero: none is under way
	stop    context.CancelFunc      // of what run does now, for when nobody waits for it any more
	failure error                   // of the latest request, for those who ask why it takes so long
}

// indexLeader is the leader, wherever it is.
type indexLeader interface {
	// await waits until a leader is known, changed is closed when it may be another.
	await(ctx context.Context) error
	changed() <-chan struct{}
	// readIndex asks once.
	readIndex(ctx context.Context) (uint64, error)
	// pause waits until changed is closed, d has passed or ctx ended.
	pause(ctx context.Context, changed <-chan struct{}, d time.Duration)
}

// indexRead is one read that waits.
type indexRead struct {
	answer chan uint64 // buffered: nobody waits for a reader
}

func newReadIndexes(leader indexLeader, a *age) *readIndexes {
	q := &readIndexes{
		leader: leader, age: a,
		waiting: make(map[*indexRead]struct{}), flight: make(map[*indexRead]struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// get returns the index of a request that was sent after since; where since is now
// or later, that shows everything that was acknowledged before the call. If ctx ends
// first, the error is the context's, and the request goes on for others.
func (q *readIndexes) get(ctx context.Context, since time.Time) (uint64, error) {
	r := &indexRead{answer: make(chan uint64, 1)}
	if err := q.enter(r, since); err != nil {
		return 0, err
	}
	select {
	case index := <-r.answer:
		return index, nil
	case <-ctx.Done():
		return q.leave(r, ended(ctx))
	case <-q.ctx.Done():
		return q.leave(r, ErrClosed)
	}
}

func (q *readIndexes) enter(r *indexRead, since time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case q.sent.After(since):
		q.flight[r] = struct{}{}
		return nil
	}
	q.waiting[r] = struct{}{}
	if !q.running {
		q.running, q.failure = true, nil
		q.group.Go(q.run)
	}
	return nil
}

// leave takes a read out. If it was the last one, the request is cancelled.
func (q *readIndexes) leave(r *indexRead, why error) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case index := <-r.answer: // both came at once
		return index, nil
	default:
	}
	delete(q.waiting, r)
	delete(q.flight, r)
	left := len(q.flight)
	if q.sent.IsZero() {
		left = len(q.waiting)
	}
	if left == 0 && q.stop != nil {
		q.stop()
	}
	if q.failure != nil {
		return 0, fmt.Errorf("%w (%v)", why, q.failure) // a peer's words; its status is not ours
	}
	return 0, why
}

// run asks until nobody waits.
func (q *readIndexes) run() {
	pause := readIndexPauseMin
	for {
		ctx, cancel := context.WithCancel(q.ctx)
		if !q.begin(cancel) {
			cancel()
			return
		}
		if changed, ok := q.try(ctx); ok {
			pause = readIndexPauseMin
		} else {
			q.leader.pause(ctx, changed, pause)
			pause = min(2*pause, readIndexPauseMax)
		}
		cancel()
	}
}

// begin is false, and run at its end, if nobody waits.
func (q *readIndexes) begin(stop context.CancelFunc) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 || q.closed {
		q.running, q.stop = false, nil
		return false
	}
	q.stop = stop
	return true
}

// try sends one request, as soon as there is somebody to send it to.
func (q *readIndexes) try(ctx context.Context) (changed <-chan struct{}, ok bool) {
	if q.leader.await(ctx) != nil {
		return nil, false // ctx has ended
	}
	changed = q.leader.changed()
	q.send()
	index, err := q.leader.readIndex(ctx)
	q.settle(index, err)
	return changed, err == nil
}

// send lets all that wait by now go with the request.
func (q *readIndexes) send() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, q.flight = q.flight, q.waiting
	q.sent = time.Now()
}

// settle hands out the answer, or lets those who wait for it go with the next request.
func (q *readIndexes) settle(index uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
	if err == nil {
		q.age.note(q.sent, index)
	}
	for r := range q.flight {
		if err == nil {
			r.answer <- index
		} else {
			q.waiting[r] = struct{}{}
		}
	}
	clear(q.flight)
	q.sent = time.Time{}
}

// spawn runs f, which ends with q.ctx; false if close was called.
func (q *readIndexes) spawn(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.group.Go(f)
	return true
}

// close ends all requests with ErrClosed and waits for everything that was started.
func (q *readIndexes) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	q.group.Wait()
}

// readIndex asks the leader for a read index, once.
func (r *leaderRoute) readIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := r.follow(ctx, readIndexTimeout)
	defer cancel()
	leader, err := r.leader()
	if err != nil {
		return 0, err
	}
	resp, err := leader.ReadIndex(ctx, &peerpb.ReadIndexRequest{})
	if err != nil {
		return 0, fmt.Errorf("ask the leader for a read index: %w", err)
	}
	if resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED {
		return 0, errors.New("the leader gives no read index: " + resp.GetReason())
	}
	return resp.GetIndex(), nil
}
