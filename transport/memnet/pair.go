package memnet

import (
	"net"
	"net/netip"
	"sync"
)

// pair is a connection: two ends, and a flow each way.
type pair struct {
	net  *Net
	mu   sync.Mutex // guards both ends and both flows
	near *conn      // the end that dialled
	far  *conn
}

// newPair makes a connection whose directions are open, and enters it with the network and both processes. Net.mu is held.
func newPair(from, to *Process, local, remote netip.AddrPort) (near, far *conn) {
	p := &pair{net: from.host.net}
	near = newConn(p, from, net.TCPAddrFromAddrPort(local), net.TCPAddrFromAddrPort(remote))
	far = newConn(p, to, near.remote, near.local)
	there := link{from: local.Addr(), to: remote.Addr()}
	near.out = newFlow(p, there, near, far)
	far.out = newFlow(p, there.back(), far, near)
	near.in, far.in = far.out, near.out
	p.near, p.far = near, far
	p.net.pairs[p] = struct{}{}
	from.sockets[near] = struct{}{}
	to.sockets[far] = struct{}{}
	return near, far
}

// setCuts opens and shuts the flows. Net.mu is held.
func (p *pair) setCuts(cut func(link) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range []*flow{p.near.out, p.far.out} {
		f.setCut(cut(f.link))
	}
}

// overLocked: both ends are closed, so that nobody will ever notice what is still in flight.
func (p *pair) overLocked() bool { return p.near.closed && p.far.closed }

func (p *pair) retireLocked() {
	p.near.out.drop()
	p.far.out.drop()
}

func (n *Net) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgetLocked(c)
}

// forgetLocked takes a closed end off the network's books. Net.mu is held.
func (n *Net) forgetLocked(c *conn) {
	delete(c.process.sockets, c)
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.pair.overLocked() {
		delete(n.pairs, c.pair)
	}
}
