package delivery

import (
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	idleAfter = time.Minute // a link without pushes ends
	ackEvery  = 64          // answers are acknowledged at the latest after so many

	maxBarren = 5 // streams in a row that settle nothing; then the push that they may break on is given up

	retryFirst, retryMost = 100 * time.Millisecond, 2 * time.Second

	maxFrame  = 256 << 10 // bytes of pushes in one message, unless a single one is larger
	maxUIDs   = 256 << 10 // bytes of uids in one message: what else waits is not held up for long
	framePush = 64        // most that a push takes beside its sid and its body
)

// link is the way to one address: a queue, and the numbers of what was sent.
type link struct {
	links *Links
	addr  string
	id    []byte
	wake  chan struct{} // one slot

	mu        sync.Mutex // guards all below
	running   bool
	queues    [2]fifo          // urgent ones first
	open      map[uint64]*Push // sent and not answered
	resend    []*Push          // of those, what the stream there is has yet to carry; ascending
	owed      []*Push          // of those, for which the frontend wants uids
	abandoned []uint64
	room      chan struct{} // closed when a queue has some again; nil: nobody waits
	number    uint64        // the last that was given
	streams   uint32        // that were opened
	stream    *stream       // nil: there is none
	received  uint64        // answers on it
	told      uint64        // of those, acknowledged
	retries   int           // in a row, that opened no stream
	retryAt   time.Time
	barren    int // streams in a row that settled nothing
	holdUntil time.Time
	alone     int // pushes on calls of their own

	sending []*Push // room for fill; of run alone
}

func (l *link) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends until there is nothing to do for a while, or the links are closed.
func (l *link) run() {
	timer := time.NewTimer(idleAfter)
	defer timer.Stop()
	for l.await(timer) {
		s := l.current()
		if s == nil {
			var err error
			if s, err = l.connect(); err != nil {
				l.unreachable(err)
				continue
			}
		}
		l.write(s)
	}
	l.hangUp()
}

// nudge ends the pause before the next attempt.
func (l *link) nudge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retries, l.retryAt, l.barren, l.holdUntil = 0, time.Time{}, 0, time.Time{}
	l.signal()
}

func (l *link) current() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream
}

// await returns true when there is something to do, false when the link ends.
func (l *link) await(timer *time.Timer) bool {
	for idle := (time.Time{}); ; {
		due, next := l.due()
		if l.links.ctx.Err() != nil {
			return false
		}
		if due {
			return true
		}
		now := time.Now()
		if next.IsZero() {
			if idle.IsZero() {
				idle = now.Add(idleAfter)
			}
			if next = idle; !now.Before(idle) {
				if l.links.retire(l) {
					return false
				}
				idle = time.Time{}
				continue
			}
		}
		timer.Reset(next.Sub(now))
		select {
		case <-l.wake:
		case <-timer.C:
		case <-l.links.ctx.Done():
		}
	}
}

// due says whether there is something to do now, or else when.
func (l *link) due() (now bool, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == nil && time.Now().Before(l.holdUntil) {
		return false, l.holdUntil
	}
	if l.queues[0].live+l.queues[1].live > 0 && l.alone < maxAlone {
		return true, time.Time{}
	}
	if l.stream == nil {
		if len(l.open) == 0 {
			return false, time.Time{}
		}
		return !time.Now().Before(l.retryAt), l.retryAt
	}
	return len(l.resend)+len(l.owed)+len(l.abandoned) > 0 || l.received-l.told >= ackEvery, time.Time{}
}

// unreachable settles what was never sent, at the second failure in a row: the first one
// may be that of a connection which broke a while ago. What was sent may have arrived,
// and has time until somebody abandons it.
func (l *link) unreachable(err error) {
	l.mu.Lock()
	if l.retries == 0 && !isOld(err) && l.links.ctx.Err() == nil {
		l.retries++
		l.mu.Unlock()
		return
	}
	var waiting []*Push
	old := isOld(err) && l.links.ctx.Err() == nil
	if old {
		l.goAlone()
	} else {
		waiting = append(l.queues[0].takeAll(), l.queues[1].takeAll()...)
	}
	for _, p := range waiting {
		p.stage = settled
	}
	l.retryAt = time.Now().Add(min(retryFirst<<min(l.retries, 10), retryMost))
	l.retries++
	l.roomLocked()
	l.mu.Unlock()
	switch {
	case old:
	case l.links.ctx.Err() != nil:
		settleAll(waiting, notDelivered("this server is closing"))
	default:
		settleAll(waiting, notDelivered("unreachable: "+Brief(err)))
	}
}

func settleAll(pushes []*Push, a Answer) {
	for _, p := range pushes {
		p.settle(a)
	}
}

// write sends one message of what waits, and the uids that are owed. These may be many:
// after each part of them it looks for what else waits.
func (l *link) write(s *stream) {
	owed, ok := l.writeFrame(s, nil)
	for ok && len(owed) > 0 {
		p := owed[0]
		owed = owed[1:]
		uids, _ := p.Body.Owner.UIDs(p.I) // none are an answer, too
		for req := range uidMessages(p.number, uids) {
			if !l.waits(p) {
				break
			}
			if ok = s.send(req) == nil; !ok {
				break
			}
			if owed, ok = l.writeFrame(s, owed); !ok {
				break
			}
		}
	}
	if !ok {
		l.lost(s)
	}
}

// writeFrame sends what waits, and appends who wants uids.
func (l *link) writeFrame(s *stream, owed []*Push) ([]*Push, bool) {
	f, pushes, more := l.fill()
	owed = append(owed, more...)
	if f == nil {
		return owed, true
	}
	err := s.send(f)
	if code := status.Code(err); code == codes.ResourceExhausted || code == codes.Internal {
		l.refuse(pushes, err) // no other stream would take them either
	}
	return owed, err == nil
}

// refuse settles pushes that cannot be sent.
func (l *link) refuse(pushes []*Push, err error) {
	l.mu.Lock()
	pushes = slices.DeleteFunc(pushes, func(p *Push) bool { return l.closeLocked(p.number) == nil })
	l.mu.Unlock()
	settleAll(pushes, unknown("cannot be sent: "+Brief(err)))
}

func (l *link) waits(p *Push) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.stage == sent
}

// fill takes what fits into one message. Its numbers are given here: under the lock,
// and in the order of sending.
func (l *link) fill() (f *frame, pushes, owed []*Push) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.sending)
	pushes = l.sending[:0]
	size := 0
	fits := func(p *Push) bool {
		size += framePush + len(p.SID) + len(p.Body.encoded)
		return len(pushes) == 0 || size <= maxFrame && l.barren <= 1
	}
	for len(l.resend) > 0 {
		p := l.resend[0]
		if p.stage == sent {
			if !fits(p) {
				break
			}
			pushes = append(pushes, p)
			l.oweIfGiven(p)
		}
		l.resend = l.resend[1:]
	}
	if len(l.resend) == 0 {
		for i := range l.queues {
			q := &l.queues[i]
			for p := q.peek(); p != nil && fits(p); p = q.peek() {
				q.take()
				l.number++
				p.number, p.stage = l.number, sent
				l.open[p.number] = p
				pushes = append(pushes, p)
				l.oweIfGiven(p)
			}
		}
	}
	l.roomLocked()
	for _, p := range l.owed {
		if p.stage == sent {
			owed = append(owed, p)
		}
	}
	l.owed = nil
	ack := l.received
	if l.told == ack {
		ack = 0
	}
	if len(pushes)+len(l.abandoned) == 0 && ack == 0 {
		return nil, nil, owed
	}
	l.told, l.sending = l.received, pushes
	f = newFrame(pushes, l.abandoned, ack, size)
	l.abandoned = nil
	return f, pushes, owed
}

// oweIfGiven has the uids follow right away.
func (l *link) oweIfGiven(p *Push) {
	if p.Body.Given {
		l.owed = append(l.owed, p)
	}
}

// lost is told by whoever sees first that a stream is over.
func (l *link) lost(s *stream) {
	s.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == s {
		l.stream = nil
		if l.barren++; l.barren > 1 { // the other end takes streams, and does nothing with them
			l.holdUntil = time.Now().Add(min(retryFirst<<min(l.barren, 10), retryMost))
		}
		l.signal()
	}
}

// sortedOpen are the pushes that were sent and have no answer, by their numbers.
// It runs with mu held.
func (l *link) sortedOpen() []*Push {
	pushes := make([]*Push, 0, len(l.open))
	for _, number := range slices.Sorted(maps.Keys(l.open)) {
		pushes = append(pushes, l.open[number])
	}
	return pushes
}

// hangUp ends the stream in order, and settles what a closing process leaves.
func (l *link) hangUp() {
	l.mu.Lock()
	l.running = false
	s := l.stream
	l.stream = nil
	waiting := append(l.queues[0].takeAll(), l.queues[1].takeAll()...)
	l.roomLocked()
	left := l.sortedOpen()
	clear(l.open)
	for _, p := range slices.Concat(waiting, left) {
		p.stage = settled
	}
	l.mu.Unlock()
	if s != nil {
		s.close()
	}
	settleAll(waiting, notDelivered("this server is closing"))
	settleAll(left, unknown("this server closed"))
}
