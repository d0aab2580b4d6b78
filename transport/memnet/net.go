package memnet

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Net is one network. All methods may be called concurrently.
type Net struct {
	sky   *sky
	names names

	mu      sync.Mutex           // guards what follows, and every Host, Process and listener
	hosts   map[netip.Addr]*Host // every valid address ever asked for
	cuts    map[link]traffic     // what of a direction vanishes
	off     map[netip.Addr]bool  // true: all directions from and to it are cut
	pairs   map[*pair]struct{}   // connections with an end that is not closed
	changed chan struct{}        // closed and replaced when a waiting dial may have got a way on
}

// link is one direction between two hosts.
type link struct{ from, to netip.Addr }

func (l link) back() link { return link{from: l.to, to: l.from} }

// New makes an empty network without latency.
func New() *Net {
	return &Net{
		sky:     newSky(),
		hosts:   make(map[netip.Addr]*Host),
		cuts:    make(map[link]traffic),
		off:     make(map[netip.Addr]bool),
		pairs:   make(map[*pair]struct{}),
		changed: make(chan struct{}),
		names:   names{hosts: make(map[string][]netip.Addr), services: make(map[string][]net.SRV)},
	}
}

// Host returns the machine with that IP address; it is made on first use. Text that is no IP address gives a
// machine without a network: all its calls fail and say so.
func (n *Net) Host(ip string) *Host {
	addr, err := parseIP(ip)
	if err != nil {
		return newHost(n, addr, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[addr]
	if h == nil {
		h = newHost(n, addr, nil)
		n.hosts[addr] = h
	}
	return h
}

// Touched counts what met bad weather, or was lost or held by a cut, when it was sent: packets, and writes to streams.
func (n *Net) Touched() uint64 { return n.sky.touched.Load() }

// SetLatency sets the time that bytes and packets sent from now on take one way between different hosts. What is
// in flight keeps its time, and nothing overtakes on a stream. Without latency (the start) no timer is used.
func (n *Net) SetLatency(d time.Duration) {
	n.sky.change(func(f *forecast) { f.latency = max(d, 0) })
}

// wakeDialsLocked lets every waiting dial look again.
func (n *Net) wakeDialsLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// parseIP takes an IPv4 address in its IPv6 form for the same machine.
func parseIP(ip string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(ip)
	return addr.Unmap(), err
}

func parseLink(from, to string) (link, bool) {
	f, err := parseIP(from)
	if err != nil {
		return link{}, false
	}
	t, err := parseIP(to)
	return link{from: f, to: t}, err == nil
}
