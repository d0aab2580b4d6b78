package switchnet

import (
	"container/heap"
	"sync"
	"time"
)

// room is how many packets may be under way on one link; what is sent beyond is
// lost, the newest first.
const room = 1000

// packet is one that is under way.
type packet struct {
	due  time.Duration // on the network's clock
	sent uint64        // of two due at one time, the one sent first arrives first
	by   *link
	to   *port
	size int
	data [mtu]byte
}

// queue holds packets until they are due.
type queue struct {
	mu   sync.Mutex // guards all below
	heap packets
	sent uint64

	sooner chan struct{} // one slot: the first packet is due earlier than it was
	spare  sync.Pool     // of *packet
}

func newQueue() *queue {
	return &queue{sooner: make(chan struct{}, 1), spare: sync.Pool{New: func() any { return new(packet) }}}
}

// push takes a copy of data. False: there is no room.
func (q *queue) push(by *link, to *port, data []byte, due time.Duration) bool {
	if by.waiting.Add(1) > room {
		by.waiting.Add(-1)
		return false
	}
	p := q.spare.Get().(*packet)
	p.due, p.by, p.to, p.size = due, by, to, copy(p.data[:], data)
	q.mu.Lock()
	q.sent++
	p.sent = q.sent
	heap.Push(&q.heap, p)
	first := q.heap[0] == p
	q.mu.Unlock()
	if first {
		select {
		case q.sooner <- struct{}{}:
		default: // it is told already
		}
	}
	return true
}

// pop returns the first packet that is due, or when the next one is.
func (q *queue) pop(now time.Duration) (p *packet, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.heap) == 0:
		return nil, time.Hour
	case q.heap[0].due > now:
		return nil, q.heap[0].due - now
	}
	return heap.Pop(&q.heap).(*packet), 0
}

// run hands over what is due until stop is closed.
func (q *queue) run(stop <-chan struct{}, now func() time.Duration, deliver func(*packet)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, wait := q.pop(now())
		if p != nil {
			p.by.waiting.Add(-1)
			deliver(p)
			q.spare.Put(p)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.sooner:
		case <-stop:
			return
		}
	}
}

// packets is a heap, the next one to arrive on top.
type packets []*packet

func (h packets) Len() int { return len(h) }

func (h packets) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].sent < h[j].sent
}

func (h packets) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *packets) Push(x any) { *h = append(*h, x.(*packet)) }

func (h *packets) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = nil // it goes back to the spare ones
	*h = old[:len(old)-1]
	return p
}
