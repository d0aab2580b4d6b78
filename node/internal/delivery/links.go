package delivery

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Links are the ways of one process to all others.
type Links struct {
	sid, incarnation string
	dial             func(addr string) (peerpb.PeerClient, error)

	ctx    context.Context // of all streams
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu     sync.Mutex // guards all below; taken before a link's
	byAddr map[string]*link
	closed bool
}

// NewLinks begins no connection. dial gives a client that is shared and that nobody
// closes; it must not block.
func NewLinks(sid, incarnation string, dial func(addr string) (peerpb.PeerClient, error)) *Links {
	ctx, cancel := context.WithCancel(context.Background())
	return &Links{sid: sid, incarnation: incarnation, dial: dial, ctx: ctx, cancel: cancel, byAddr: make(map[string]*link)}
}

// Send puts a push into the queue of an address, behind those that it must not overtake.
// It does not block. wait is not nil if there is no room, and the push may wait: it is not
// sent, and may be when wait is closed.
func (ls *Links) Send(addr string, p *Push) (wait <-chan struct{}) {
	ls.mu.Lock()
	l := ls.byAddr[addr]
	if l == nil {
		id := uuid.New()
		l = &link{links: ls, addr: addr, id: id[:], open: make(map[uint64]*Push), wake: make(chan struct{}, 1)}
		ls.byAddr[addr] = l
	}
	l.mu.Lock()
	var out []gone
	if ls.closed {
		p.stage, out = settled, []gone{{p, "this server is closing"}}
	} else {
		out, wait = l.enqueue(p)
		if !l.running {
			l.running = true
			ls.group.Go(l.run)
		}
		l.signal()
	}
	l.mu.Unlock()
	ls.mu.Unlock()
	for _, g := range out {
		g.push.settle(notDelivered(g.reason))
	}
	return wait
}

// Nudge tells that an address can probably be reached again.
func (ls *Links) Nudge(addr string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.byAddr[addr]; l != nil {
		l.nudge()
	}
}

// retire forgets a link that has nothing to do. false: it has.
func (ls *Links) retire(l *link) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queues[0].live+l.queues[1].live+len(l.open)+l.alone > 0 {
		return false
	}
	delete(ls.byAddr, l.addr)
	return true
}

// Close settles what is under way and waits for the links.
func (ls *Links) Close() {
	ls.mu.Lock()
	ls.closed = true
	ls.mu.Unlock()
	ls.cancel()
	ls.group.Wait()
}
