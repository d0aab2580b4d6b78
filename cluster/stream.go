package cluster

import (
	"context"
	"net"
	"sync"
	"time"
)

// stream is one gossip stream that the wire counts until memberlist closes it.
type stream struct {
	net.Conn
	wire    *wire
	inbound bool
	frame   []byte // of an incoming one: read already, for memberlist to read again
	once    sync.Once
}

func (s *stream) Read(b []byte) (int, error) {
	if len(s.frame) > 0 {
		n := copy(b, s.frame)
		if s.frame = s.frame[n:]; len(s.frame) == 0 {
			s.frame = nil
		}
		return n, nil
	}
	return s.Conn.Read(b)
}

// track takes a connection in; nil means that it was closed instead, because
// the wire is closing or strangers hold too many.
func (w *wire) track(conn net.Conn, inbound bool) *stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || inbound && w.inbound >= maxInboundStreams {
		conn.Close()
		return nil
	}
	s := &stream{Conn: conn, wire: w, inbound: inbound}
	w.open[s] = struct{}{}
	if inbound {
		w.inbound++
	}
	w.group.Add(1)
	return s
}

// Write closes the stream when it fails: memberlist drops a dialled stream
// without closing it if the first write, that of the label, fails.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if err != nil {
		s.Close()
	}
	return n, err
}

func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		err = s.Conn.Close()
		s.wire.mu.Lock()
		delete(s.wire.open, s)
		if s.inbound {
			s.wire.inbound--
		}
		s.wire.mu.Unlock()
		s.wire.group.Done()
	})
	return err
}

// backoff is the last pause after an error in a row; zero starts over.
type backoff time.Duration

// wait pauses, longer each time up to a second; false once ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	*b = min(max(2**b, backoff(5*time.Millisecond)), backoff(time.Second))
	t := time.NewTimer(time.Duration(*b))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
