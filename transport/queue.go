package transport

import (
	"errors"
	"net"
	"sync"
	"time"
)

var errNobodyAccepts = errors.New("nobody accepts streams of this protocol")

// queue is the listener that the user of one protocol sees: the mux puts
// greeted connections in, the user accepts them. It holds nothing itself.
type queue struct {
	conns   chan net.Conn
	addr    net.Addr
	timeout time.Duration // of put
	over    func()        // called once, by the first Close; may be nil
	once    sync.Once
	closed  chan struct{}
}

func newQueue(addr net.Addr, timeout time.Duration, over func()) *queue {
	return &queue{conns: make(chan net.Conn), addr: addr, timeout: timeout, over: over, closed: make(chan struct{})}
}

// put waits until the connection is accepted, but not for ever: a user that has
// stalled must not fill the port with connections that wait for it.
func (q *queue) put(c net.Conn) error {
	timer := time.NewTimer(q.timeout)
	defer timer.Stop()
	select {
	case <-q.closed:
		return net.ErrClosed
	default:
	}
	select {
	case q.conns <- c:
		return nil
	case <-q.closed:
		return net.ErrClosed
	case <-timer.C:
		return errNobodyAccepts
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, &net.OpError{Op: "accept", Net: q.addr.Network(), Addr: q.addr, Err: net.ErrClosed}
	}
}

// Close implements net.Listener. The port goes on listening for the others.
func (q *queue) Close() error {
	q.once.Do(func() {
		close(q.closed)
		if q.over != nil {
			q.over()
		}
	})
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }
