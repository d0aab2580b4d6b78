package cluster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	gossipLabel   = "globalchannel"
	leaveTimeout  = 2 * time.Second
	lookupTimeout = 2 * time.Second
	streamTimeout = 5 * time.Second
)

// gossip is memberlist with our wire, directory and metadata.
type gossip struct {
	list *memberlist.Memberlist
	wire *wire
	dir  *directory
	meta *announcement

	mu     sync.Mutex // guards what follows
	left   chan struct{}
	closed bool
	group  sync.WaitGroup // a Leave that is under way; memberlist panics if it shuts down first
}

// openGossip owns the sockets of o from here on.
func openGossip(o Options, clusterID string, log *slog.Logger) (*gossip, error) {
	g, err := newGossip(o, clusterID, log)
	if err != nil {
		o.Packets.Close()
		o.Streams.Close()
		return nil, err
	}
	return g, nil
}

func newGossip(o Options, clusterID string, log *slog.Logger) (*gossip, error) {
	advertise, err := gossipAddr(o.Self.Addr, o.Packets.LocalAddr(), o.Resolver)
	if err != nil {
		return nil, err
	}
	self := entry{Member: o.Self, gossipAddr: advertise.String(), started: time.Now().UnixMilli()}
	self.Expect = o.Expect
	meta := &announcement{metadata: metadata{Expect: o.Expect, Started: self.started, SID: o.Self.SID}}
	if host, _, _ := net.SplitHostPort(o.Self.Addr); net.ParseIP(host) == nil {
		meta.Addr = o.Self.Addr
	}
	if err := meta.announce(clusterID); err != nil {
		return nil, err
	}
	sealed, err := newSeal(gossipKey(o), gossipLabel)
	if err != nil {
		return nil, err
	}
	g := &gossip{dir: newDirectory(self, clusterID), meta: meta}
	g.wire = newWire(o, advertise, sealed, g.dir.reject)
	g.list, err = memberlist.Create(g.config(o, advertise, log))
	if err != nil {
		g.wire.Shutdown()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return g, nil
}

// config is memberlist's for a LAN, a little quicker to sync and with the bound
// on its probes that Close relies on.
func (g *gossip) config(o Options, advertise netip.AddrPort, log *slog.Logger) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = gossipName(o.Self.NodeID, o.Self.Incarnation)
	c.Transport = g.wire
	c.Label = gossipLabel
	c.BindAddr, c.BindPort = advertise.Addr().String(), int(advertise.Port())
	c.AdvertiseAddr, c.AdvertisePort = c.BindAddr, c.BindPort
	c.TCPTimeout = streamTimeout
	c.PushPullInterval = 15 * time.Second
	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeTimeout
	c.AwarenessMaxMultiplier = maxAwareness
	c.SecretKey = gossipKey(o)
	// It makes a table of 64 KiB for each packet, of which most have some 100 bytes. Receivers
	// take both kinds, so servers may differ.
	c.EnableCompression = false
	d := &delegate{dir: g.dir, meta: g.meta, name: c.Name}
	c.Delegate, c.Events, c.Alive, c.Conflict, c.Ping = d, d, d, d, g.wire.probes
	c.Logger = newGossipLog(log)
	return c
}

// gossipKey: without a secret there is still a seal. v0.6.0 can be made to panic by a
// malformed packet, and a port scanner's bytes fail this key before they reach its decoders.
func gossipKey(o Options) []byte {
	if o.GossipKey != nil {
		return o.GossipKey
	}
	key := sha256.Sum256([]byte("globalchannel gossip without a secret"))
	return key[:]
}

// announce makes the cluster id known. Not an error after Leave or Close.
func (g *gossip) announce(clusterID string) error {
	if !g.dir.setClusterID(clusterID) {
		return nil
	}
	if err := g.meta.announce(clusterID); err != nil {
		return err
	}
	g.mu.Lock()
	gone := g.closed || g.left != nil
	g.mu.Unlock()
	if !gone {
		// The update is queued before memberlist begins to wait for its spreading,
		// which it does without regard to anything: do not wait.
		_ = g.list.UpdateNode(time.Nanosecond)
	}
	return nil
}

// join syncs with the process at one gossip address.
func (g *gossip) join(addr string) error {
	_, err := g.list.Join([]string{addr})
	return err
}

// leave tells the others goodbye once; later calls wait for the first.
func (g *gossip) leave(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ErrClosed
	}
	first := g.left == nil
	if first {
		g.left = make(chan struct{})
		g.group.Add(1)
	}
	left := g.left
	g.mu.Unlock()
	if !first {
		select {
		case <-left:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("leave gossip: %w", context.Cause(ctx))
		}
	}
	defer g.group.Done()
	defer close(left)
	timeout := leaveTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(deadline)), time.Nanosecond) // zero would mean for ever
	}
	if err := g.list.Leave(timeout); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// close ends all goroutines of memberlist. The order: first nothing more goes
// out, or probes would begin that outlive it; then the probe under way, while
// its answer can still come in; then memberlist; then what a packet that came in
// meanwhile had started.
func (g *gossip) close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.group.Wait()
	g.wire.quiesce()
	g.wire.probes.wait()
	err := g.list.Shutdown()
	g.wire.probes.wait()
	return err
}

// gossipAddr is the IP:PORT that memberlist tells others. A host name is looked
// up once per start; where that fails the bound address has to do.
func gossipAddr(addr string, bound net.Addr, resolver Resolver) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(n)), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := orSystem(resolver).LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) > 0 {
		return netip.AddrPortFrom(ips[0].Unmap().WithZone(""), uint16(n)), nil
	}
	if local, lerr := netip.ParseAddrPort(bound.String()); lerr == nil && !local.Addr().IsUnspecified() {
		return netip.AddrPortFrom(local.Addr().Unmap().WithZone(""), uint16(n)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("look up the advertised host %q: %w", host, cmp.Or(err, errors.New("no address")))
}
