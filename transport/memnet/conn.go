package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is one end of a connection, a net.Conn. All methods may be called concurrently.
type conn struct {
	pair          *pair
	process       *Process
	local, remote *net.TCPAddr
	in, out       *flow

	// Guarded by pair.mu.
	wake           *sync.Cond // every reader and writer of this end waits here
	closed         bool
	writing        bool // a Write is at work; others wait their turn, or their bytes would mix
	queued         int  // those others
	reading, write *deadline
}

func newConn(p *pair, owner *Process, local, remote *net.TCPAddr) *conn {
	c := &conn{pair: p, process: owner, local: local, remote: remote, wake: sync.NewCond(&p.mu)}
	c.reading, c.write = newDeadline(c.wake), newDeadline(c.wake)
	return c
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Read gives what arrived before the peer closed, then io.EOF; before a reset, then syscall.ECONNRESET.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.readLocking(b)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, c.opError("read", err)
}

func (c *conn) readLocking(b []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.reading.passed(): // even if there is something to read, as in package net
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case c.in.ready.Len() > 0:
			return c.in.read(b), nil
		case c.in.fin:
			return 0, io.EOF
		case c.in.rst:
			return 0, os.NewSyscallError("read", syscall.ECONNRESET)
		}
		c.wake.Wait()
	}
}

// Write returns when all of b is in the window, which says nothing about its arrival.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.writeLocking(b)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

func (c *conn) writeLocking(b []byte) (sent int, err error) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if err := c.awaitTurn(); err != nil {
		return 0, err
	}
	defer c.passTurn()
	for {
		if err := c.writeError(); err != nil {
			return sent, err
		}
		n := min(c.out.room(), len(b)-sent)
		if n > 0 {
			c.out.sendData(b[sent : sent+n])
			sent += n
		}
		if sent == len(b) {
			return sent, nil
		}
		c.wake.Wait()
	}
}

func (c *conn) awaitTurn() error {
	c.queued++
	defer func() { c.queued-- }()
	for c.writing {
		if err := c.writeError(); err != nil {
			return err
		}
		c.wake.Wait()
	}
	c.writing = true
	return nil
}

func (c *conn) passTurn() {
	c.writing = false
	if c.queued > 0 { // or each Write would wake this end's reader for nothing
		c.wake.Broadcast()
	}
}

// writeError says why nothing can be written now or later.
func (c *conn) writeError() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.write.passed():
		return os.ErrDeadlineExceeded
	case c.out.finSent, c.in.rst && c.in.fin:
		return os.NewSyscallError("write", syscall.EPIPE)
	case c.in.rst:
		return os.NewSyscallError("write", syscall.ECONNRESET)
	}
	return nil
}

// CloseWrite ends the stream to the peer, who reads io.EOF after the bytes before. This end can still read.
func (c *conn) CloseWrite() error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out.sendFin()
	c.wake.Broadcast() // a Write that waits for room
	return nil
}

// Close wakes this end's readers and writers. The peer still gets what was written, then io.EOF; but a reset, as in
// TCP, if bytes from it lie here unread.
func (c *conn) Close() error {
	if !c.end(false) {
		return c.opError("close", net.ErrClosed)
	}
	return nil
}

// abort resets the connection.
func (c *conn) abort() { c.end(true) }

func (c *conn) end(abort bool) (first bool) {
	c.pair.mu.Lock()
	first = c.shutLocked(abort)
	c.pair.mu.Unlock()
	if first {
		c.pair.net.forget(c)
	}
	return first
}

// shutLocked closes the end, though not on the network's books; false if it was closed.
func (c *conn) shutLocked(abort bool) bool {
	if c.closed {
		return false
	}
	c.closed = true
	if abort || c.in.ready.Len() > 0 {
		c.out.sendReset()
	}
	c.out.sendFin()
	c.in.ready.Reset()
	c.reading.clear()
	c.write.clear()
	c.wake.Broadcast()
	if c.pair.overLocked() {
		c.pair.retireLocked()
	}
	return true
}

// killLocked: the process dies. Net.mu is held.
func (c *conn) killLocked() {
	c.pair.mu.Lock()
	if !c.closed {
		c.out.dieInFlight()
		c.shutLocked(true)
	}
	c.pair.mu.Unlock()
	c.pair.net.forgetLocked(c)
}

// SetDeadline, SetReadDeadline and SetWriteDeadline are as in net.Conn; a passed one fails calls with
// os.ErrDeadlineExceeded until it is moved.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, c.reading, c.write) }

// SetReadDeadline is described at SetDeadline.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, c.reading) }

// SetWriteDeadline is described at SetDeadline.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, c.write) }

func (c *conn) setDeadlines(t time.Time, which ...*deadline) error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, d := range which {
		d.set(t)
	}
	return nil
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
