package memnet

import "net"

// backlog is how many connections wait for Accept before further dials have to wait.
const backlog = 128

type listener struct {
	process *Process
	local   *net.TCPAddr
	backlog chan *conn
	done    chan struct{} // closed with the listener
	closed  bool          // guarded by Net.mu
	full    bool          // guarded by Net.mu: a dial waits for room in the backlog
}

// Listen binds a port of the host for streams; network is tcp or tcp4, port 0 any free one.
func (p *Process) Listen(network, address string) (net.Listener, error) {
	if !isStream(network) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	l, err := p.listen(address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return l, nil
}

func (p *Process) listen(address string) (*listener, error) {
	h := p.host
	at, err := h.resolveOwn(address)
	if err != nil {
		return nil, err
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if p.dead {
		return nil, net.ErrClosed
	}
	port, err := h.pickPort(at.Port(), h.listening)
	if err != nil {
		return nil, err
	}
	l := &listener{
		process: p,
		local:   &net.TCPAddr{IP: h.addr.AsSlice(), Port: int(port)},
		backlog: make(chan *conn, backlog),
		done:    make(chan struct{}),
	}
	h.listeners[port] = l
	p.sockets[l] = struct{}{}
	return l, nil
}

// Addr is a *net.TCPAddr with the host's own IP address.
func (l *listener) Addr() net.Addr { return l.local }

// Accept takes the next connection of the backlog, closed ones included.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done: // first, or a closed listener with a backlog would sometimes go on
		return nil, l.opError("accept")
	default:
	}
	select {
	case c := <-l.backlog:
		l.roomMade()
		return c, nil
	case <-l.done:
		return nil, l.opError("accept")
	}
}

func (l *listener) roomMade() {
	n := l.process.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.full {
		l.full = false
		n.wakeDialsLocked()
	}
}

// Close ends Accept and resets what nobody accepted.
func (l *listener) Close() error {
	n := l.process.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed {
		return l.opError("close")
	}
	delete(l.process.sockets, l)
	l.killLocked()
	n.wakeDialsLocked() // those that waited for room are refused now
	return nil
}

func (l *listener) killLocked() {
	l.closed = true
	delete(l.process.host.listeners, uint16(l.local.Port))
	close(l.done)
	for {
		select {
		case c := <-l.backlog:
			c.killLocked()
		default:
			return
		}
	}
}

func (l *listener) opError(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: l.local, Err: net.ErrClosed}
}
