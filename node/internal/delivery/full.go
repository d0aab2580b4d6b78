package delivery

import "github.com/pofresh/globalchannel/transport/peerpb"

// Bounds of what waits for one address. A single larger one has room in an empty queue.
const (
	maxQueued      = 8192
	maxQueuedBytes = 64 << 20
)

// Reasons of pushes that gave way.
const (
	QueueFull = "queue full"
	Dropped   = "dropped from a full queue by a newer push"
	Replaced  = "replaced by a newer push with the same key"
)

func (l *link) full(p *Push) bool {
	waiting := l.queues[0].live + l.queues[1].live
	bytes := l.queues[0].bytes + l.queues[1].bytes
	return waiting >= maxQueued || waiting > 0 && bytes+len(p.Body.encoded) > maxQueuedBytes
}

// gone is a push that gave way.
type gone struct {
	push   *Push
	reason string
}

// enqueue puts a push into its queue, and tells who gave way. It runs with mu held. wait:
// it found no room, and may be sent again when that is closed.
func (l *link) enqueue(p *Push) (out []gone, wait <-chan struct{}) {
	q := &l.queues[p.lane()]
	if p.Body.Full == peerpb.PushFull_PUSH_FULL_KEEP_LATEST {
		if old := q.find(func(o *Push) bool { return o.replacedBy(p) }); old != nil {
			l.giveUp(q, old)
			out = append(out, gone{old, Replaced})
		}
	}
	for l.full(p) {
		switch old := q.peek(); {
		case p.Body.Full == peerpb.PushFull_PUSH_FULL_WAIT:
			if l.room == nil {
				l.room = make(chan struct{})
			}
			return nil, l.room
		case p.Body.Full == peerpb.PushFull_PUSH_FULL_DROP_OLDEST && old != nil:
			l.giveUp(q, old)
			out = append(out, gone{old, Dropped})
		default:
			p.stage = settled
			return append(out, gone{p, QueueFull}), nil
		}
	}
	q.push(p)
	p.link = l
	return out, nil
}

func (p *Push) replacedBy(newer *Push) bool {
	a, b := p.Body, newer.Body
	return a.Key == b.Key && a.Channel == b.Channel && p.SID == newer.SID && a.Full == b.Full
}

func (l *link) giveUp(q *fifo, p *Push) {
	q.withdrew(p)
	p.stage = settled
	q.compact()
}

// roomLocked wakes those who found none. It runs after something has left a queue.
func (l *link) roomLocked() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}
