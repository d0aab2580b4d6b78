package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// maxInboundStreams bounds what silent or slow clients of the gossip port can
	// hold: memberlist starts a goroutine per stream and lets it live for its
	// whole timeout.
	maxInboundStreams = 128
)

var errWireQuiet = errors.New("gossip is closing")

// wire is memberlist's transport over the injected sockets. It owns them. All
// that memberlist does through it ends with Shutdown; the rest that memberlist
// leaves behind is watched by probes.
type wire struct {
	packets   net.PacketConn
	streams   net.Listener
	dial      func(ctx context.Context, addr string) (net.Conn, error)
	advertise netip.AddrPort
	probes    *probes
	seal      *seal
	reject    func(error) // counts what was dropped

	packetCh chan *memberlist.Packet
	streamCh chan net.Conn

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup // the two loops, running dials, open streams

	mu      sync.Mutex // guards what follows
	open    map[*stream]struct{}
	inbound int
	quiet   bool // nothing goes out any more
	closed  bool
}

var _ memberlist.NodeAwareTransport = (*wire)(nil)

func newWire(o Options, advertise netip.AddrPort, seal *seal, reject func(error)) *wire {
	ctx, cancel := context.WithCancel(context.Background())
	w := &wire{
		packets: o.Packets, streams: o.Streams, dial: o.Dial, advertise: advertise,
		probes: newProbes(),
		seal:   seal, reject: reject,
		packetCh: make(chan *memberlist.Packet),
		streamCh: make(chan net.Conn),
		ctx:      ctx, cancel: cancel,
		open: make(map[*stream]struct{}),
	}
	w.group.Go(w.readPackets)
	w.group.Go(w.acceptStreams)
	return w
}

func (w *wire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IP(w.advertise.Addr().AsSlice()), int(w.advertise.Port()), nil
}

func (w *wire) PacketCh() <-chan *memberlist.Packet { return w.packetCh }
func (w *wire) StreamCh() <-chan net.Conn           { return w.streamCh }

func (w *wire) WriteTo(b []byte, addr string) (time.Time, error) {
	return w.WriteToAddress(b, memberlist.Address{Addr: addr})
}

func (w *wire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if w.probes.sending() {
		return time.Time{}, errWireQuiet
	}
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, err
	}
	_, err = w.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

func (w *wire) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return w.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout sets the deadline already: memberlist writes its label
// before it sets one, and a peer that takes no bytes would hold it for ever.
func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if !w.begin() {
		return nil, errWireQuiet
	}
	defer w.group.Done()
	deadline := time.Now().Add(timeout)
	ctx, cancel := context.WithDeadline(w.ctx, deadline)
	defer cancel()
	conn, err := w.dial(ctx, a.Addr)
	if err != nil {
		return nil, err
	}
	s := w.track(conn, false)
	if s == nil {
		return nil, errWireQuiet
	}
	if err := s.SetDeadline(deadline); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// readPackets and acceptStreams outlive errors of their sockets (a full buffer
// table, too many open files) with a growing pause, and end with Shutdown.
func (w *wire) readPackets() {
	buf := make([]byte, maxPacket+1) // one more tells what is too large from what just fits
	var pause backoff
	for {
		n, from, err := w.packets.ReadFrom(buf)
		if err != nil {
			if !pause.wait(w.ctx) {
				return
			}
			continue
		}
		pause = 0
		if n == 0 {
			continue
		}
		if err := w.seal.packet(buf[:n]); err != nil {
			w.reject(err)
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case w.packetCh <- p:
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *wire) acceptStreams() {
	var pause backoff
	for {
		conn, err := w.streams.Accept()
		if err != nil {
			if !pause.wait(w.ctx) {
				return
			}
			continue
		}
		pause = 0
		s := w.track(conn, true)
		if s == nil {
			continue
		}
		w.group.Go(func() { w.hand(s) })
	}
}

// hand gives memberlist a stream once its frame is there and sealed. The deadline
// is memberlist's own, which it sets too late for us.
func (w *wire) hand(s *stream) {
	if s.SetDeadline(time.Now().Add(streamTimeout)) != nil {
		s.Close()
		return
	}
	frame, err := w.seal.stream(s.Conn)
	if err != nil {
		if !errors.Is(err, io.EOF) && w.ctx.Err() == nil {
			w.reject(err)
		}
		s.Close()
		return
	}
	s.frame = frame
	select {
	case w.streamCh <- s:
	case <-w.ctx.Done():
		s.Close()
	}
}

// quiesce stops what goes out. Answers still come in, so that a probe that is
// under way can end by itself.
func (w *wire) quiesce() {
	w.probes.quiesce()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = true
}

// Shutdown cuts every stream and waits until memberlist has let go of them.
func (w *wire) Shutdown() error {
	w.probes.quiesce()
	w.mu.Lock()
	first := !w.closed
	w.closed, w.quiet = true, true
	for s := range w.open {
		s.Conn.Close() // its owner sees the error and closes s
	}
	w.mu.Unlock()
	var err error
	if first {
		w.cancel()
		err = errors.Join(ignoreClosed(w.packets.Close()), ignoreClosed(w.streams.Close()))
	}
	w.group.Wait()
	return err
}

// begin counts a dial, unless the wire is closing: group.Add must not race with
// the group.Wait of Shutdown.
func (w *wire) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quiet {
		return false
	}
	w.group.Add(1)
	return true
}

// ignoreClosed: the port that lent the sockets may have closed them first.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
