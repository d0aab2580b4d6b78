package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
)

const (
	bindAttempts  = 20      // to find a number that is free for TCP and UDP
	packetsBuffer = 2 << 20 // bytes of gossip packets the kernel may hold while this process does not run
)

// Port is one server's place in the network. Its methods may be called
// concurrently.
type Port struct {
	options   Options // validated; Secret and TLS are dropped
	addr      string  // what others dial
	gossipKey []byte

	packets net.PacketConn
	mux     *mux
	raft    *raftLayer
	gossip  *queue
	calls   *callServer
	dialer  *dialer
	pool    *pool

	ctx    context.Context // ends greetings
	cancel context.CancelFunc
	group  sync.WaitGroup // everything that Serve started

	mu      sync.Mutex // guards serving and closed
	serving bool
	closed  bool

	closing  sync.Once
	closeErr error // set within closing
}

// GossipWire is what gossip needs, in terms of net.
type GossipWire struct {
	Packets net.PacketConn
	Streams net.Listener // accepted streams come from servers
	Dial    func(ctx context.Context, addr string) (net.Conn, error)
}

// Open binds the TCP listener and the UDP socket. Nothing is accepted before
// Serve; dialling works at once.
func Open(o Options) (*Port, error) {
	o, err := o.validated()
	if err != nil {
		return nil, err
	}
	security, err := newSecurity(o.TLS, o.Secret, identity{nodeID: o.NodeID, role: RoleNode})
	if err != nil {
		return nil, err
	}
	var key []byte
	if len(o.Secret) > 0 {
		if key, err = derive(o.Secret, "gossip"); err != nil {
			return nil, fmt.Errorf("derive the gossip key: %w", err)
		}
	}
	listener, packets, err := bind(o.Network, o.Listen)
	if err != nil {
		return nil, err
	}
	addr, err := advertised(o, listener)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), packets.Close())
	}
	o.Secret, o.TLS = nil, nil // no second copy that could be printed
	p := &Port{options: o, addr: addr, gossipKey: key, packets: packets}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.build(security, listener)
	return p, nil
}

// build cannot fail and starts nothing.
func (p *Port) build(security *security, listener net.Listener) {
	o, secure := p.options, security.server != nil
	accepted := newConnSet(o.MaxConns, o.HandshakeTimeout)
	p.dialer = &dialer{network: o.Network, security: security, conns: newConnSet(0, o.HandshakeTimeout), timeout: o.HandshakeTimeout}
	known := o.KnownNode
	if !secure || security.certified {
		known = nil
	}
	p.raft = newRaftLayer(o.NodeID, p.addr, known, p.dialer, accepted)
	p.gossip = newQueue(listener.Addr(), o.HandshakeTimeout, func() {
		accepted.cut(protocolGossip)
		p.dialer.conns.cut(protocolGossip)
	})
	calls := newQueue(listener.Addr(), o.HandshakeTimeout, nil)
	p.calls = newCallServer(o, secure, known, accepted, calls)
	stating := o.NodeID
	if security.certified {
		stating = "" // the certificate says it
	}
	p.pool = newPool(dialOptions(p.dialer, reconnect(), stating))
	p.mux = &mux{
		listener: listener, security: security, conns: accepted, timeout: o.HandshakeTimeout, log: o.Logger,
		group: &p.group, raft: p.raft, gossip: p.gossip, calls: calls,
	}
}

// bind takes the same number for TCP and UDP. Where any will do, a number that
// is free for one may be taken for the other: try again.
func bind(network Network, address string) (net.Listener, net.PacketConn, error) {
	host, port, err := splitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	for attempt := 1; ; attempt++ {
		listener, err := network.Listen("tcp", address)
		if err != nil {
			return nil, nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		_, number, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), listener.Close())
		}
		packets, err := network.ListenPacket("udp", net.JoinHostPort(host, number))
		if err == nil {
			if c, ok := packets.(interface{ SetReadBuffer(int) error }); ok {
				_ = c.SetReadBuffer(packetsBuffer) // the system may allow less; gossip then loses a little more
			}
			return listener, packets, nil
		}
		err = errors.Join(fmt.Errorf("listen for packets on %s: %w", net.JoinHostPort(host, number), err), listener.Close())
		if port != 0 || attempt == bindAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, err
		}
	}
}

// advertised is what others dial. A name in Listen may have turned out to be a
// wildcard only now.
func advertised(o Options, listener net.Listener) (string, error) {
	if o.Advertise != "" {
		return o.Advertise, nil
	}
	addr := listener.Addr().String()
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Unmap().IsUnspecified() {
		return "", &OptionError{"Listen", o.Listen, "is a wildcard, which cannot be dialled: set Advertise to the host:port at which other servers reach this one"}
	}
	return addr, nil
}

// Addr is HOST:PORT, what others dial.
func (p *Port) Addr() string { return p.addr }

// Raft returns the one stream layer of the port. Accept yields streams of
// servers that meant this node. Closing it (as NetworkTransport does) ends all
// its streams, and leaves gossip and calls alone.
func (p *Port) Raft() raft.StreamLayer { return p.raft }

// ProbeRaft finds out whether a node answers at a RaftAddress: it opens a stream
// of its own, and closes it.
func (p *Port) ProbeRaft(ctx context.Context, address raft.ServerAddress) error {
	return p.raft.probe(ctx, address)
}

// CutRaft ends this node's Raft streams, and dials, to a node. New ones may be
// opened at once.
func (p *Port) CutRaft(nodeID string) { p.raft.cutTo(nodeID) }

// SilenceRaft ends all Raft streams of this node and lets no new ones come about,
// in either direction, until it is called with false. Others find nobody to count
// on, and ProbeRaft fails at both ends. Gossip and calls go on. It does not block.
func (p *Port) SilenceRaft(on bool) { p.raft.silence(on) }

// Gossip returns what gossip needs. Closing Streams ends all streams of gossip.
func (p *Port) Gossip() GossipWire {
	return GossipWire{Packets: p.packets, Streams: p.gossip, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := p.dialer.dial(ctx, addr, protocolGossip, nil)
		if err != nil {
			return nil, err
		}
		return c, nil
	}}
}

// GossipKey is 32 bytes, the same on every server with the secret; nil without
// one. The caller's to keep.
func (p *Port) GossipKey() []byte { return append([]byte(nil), p.gossipKey...) }

// Serve registers the services and starts accepting. Only the first call does
// anything; after Close none does.
func (p *Port) Serve(register func(grpc.ServiceRegistrar)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving || p.closed {
		return
	}
	p.serving = true
	if register != nil {
		register(p.calls.grpc)
	}
	p.group.Go(func() {
		// It returns when the queue is closed, and has nothing to tell then.
		_ = p.calls.grpc.Serve(p.calls.queue)
	})
	p.group.Go(func() { p.mux.run(p.ctx) })
}

// Conn returns the connection that all calls to an address share. It connects
// with the first call. Ask for it each time: one that was not asked for and not
// used for ten minutes is closed, and Nudge may replace one that is failing.
func (p *Port) Conn(addr string) (*grpc.ClientConn, error) { return p.pool.conn(addr, time.Now()) }

// Nudge makes the next call to an address try at once, where the connection is
// waiting before its next attempt. A call that waits for it with WaitForReady
// ends as Canceled.
func (p *Port) Nudge(addr string) { p.pool.nudge(addr) }

// EndStreams stops taking calls, lets those that run finish until ctx ends, and
// cuts the rest. Raft, gossip and this node's own calls go on.
func (p *Port) EndStreams(ctx context.Context) { p.calls.endStreams(ctx) }

// Close ends everything, waits for it, and may be called again. Handlers of
// calls have five seconds to notice that their context has ended; an error says
// so if one did not.
func (p *Port) Close() error {
	p.closing.Do(func() { p.closeErr = p.shutDown() })
	return p.closeErr
}

func (p *Port) shutDown() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	// Greetings and dials first, or they would hand on connections to what is being closed.
	p.cancel()
	err := p.mux.listener.Close()
	// Without their sockets neither TLS nor gRPC waits for a peer that does not read.
	p.mux.conns.close()
	p.dialer.conns.close()
	// Whoever waits in Accept, or in a call, is let go.
	_ = p.raft.Close()
	_ = p.gossip.Close()
	p.pool.close()
	if e := p.packets.Close(); !errors.Is(e, net.ErrClosed) { // gossip may have closed it
		err = errors.Join(err, e)
	}
	// Last, since only handlers can take time.
	err = errors.Join(err, p.calls.close())
	p.group.Wait()
	return err
}
