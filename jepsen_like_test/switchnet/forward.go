package switchnet

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

// Where things are in the header of an IPv4 packet.
const (
	headerSize  = 20
	protocolAt  = 9
	destination = 16
)

// Stats count packets since New.
type Stats struct {
	Forwarded  uint64 // handed over, copies included
	Cut        uint64 // lost to cuts
	Lost       uint64 // lost to weather
	Duplicated uint64
	Delayed    uint64 // beyond the latency
	Overflowed uint64 // lost because too many were under way on the link
	Stray      uint64 // of IPv4, for nobody here
}

// Touched counts what was spoiled in any way.
func (s Stats) Touched() uint64 { return s.Cut + s.Lost + s.Duplicated + s.Delayed + s.Overflowed }

// counts are Stats as they grow.
type counts struct {
	forwarded, cut, lost, duplicated, delayed, overflowed, stray atomic.Uint64
}

// Stats so far.
func (n *Network) Stats() Stats {
	c := &n.counts
	return Stats{
		Forwarded: c.forwarded.Load(), Cut: c.cut.Load(), Lost: c.lost.Load(), Duplicated: c.duplicated.Load(),
		Delayed: c.delayed.Load(), Overflowed: c.overflowed.Load(), Stray: c.stray.Load(),
	}
}

func (s Stats) String() string {
	return fmt.Sprintf("%d packets forwarded, %d cut off, %d lost, %d duplicated, %d delayed, %d too many, %d stray",
		s.Forwarded, s.Cut, s.Lost, s.Duplicated, s.Delayed, s.Overflowed, s.Stray)
}

// forward reads what a machine sends until its device is closed.
func (n *Network) forward(from *port) {
	data := make([]byte, mtu)
	var at []time.Duration
	for {
		size, err := from.device.Read(data)
		if err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			if !n.closed && n.byName[from.name] == from && n.broken == nil {
				n.broken = fmt.Errorf("read what %s sends: %w", from.name, err)
			}
			return
		}
		at = n.pass(from, data[:size], at)
	}
}

// good weather.
var good fault.Weather

// pass decides what becomes of a packet. at is scratch space.
func (n *Network) pass(from *port, data []byte, at []time.Duration) []time.Duration {
	to := n.receiver(data)
	if to == nil || to == from {
		if len(data) > 0 && data[0]>>4 == 4 { // devices greet routers over IPv6, when they like
			n.counts.stray.Add(1)
		}
		return at
	}
	l := &from.links[to.number]
	if !l.carries(data[protocolAt]) {
		n.counts.cut.Add(1)
		return at
	}
	w, latency := l.weather.Load(), n.between(from, to)
	switch {
	case w == nil && latency == 0:
		n.deliver(to, data)
		return at
	case w == nil:
		w = &good
	}
	if l.random == nil {
		l.random = rand.New(rand.NewPCG(n.seed, uint64(from.number)<<32|uint64(to.number)))
	}
	now := n.now()
	at = l.arrivals(w, now+latency, at[:0])
	if len(at) == 0 {
		n.counts.lost.Add(1)
	}
	for i, due := range at {
		if i > 0 {
			n.counts.duplicated.Add(1)
		}
		switch {
		case due <= now:
			n.deliver(to, data)
		case !n.queue.push(l, to, data, due):
			n.counts.overflowed.Add(1)
		case due > now+latency:
			n.counts.delayed.Add(1)
		}
	}
	return at
}

// receiver is the port that the packet is for; nil: there is none.
func (n *Network) receiver(data []byte) *port {
	prefix := n.prefix.Addr().As4()
	if len(data) < headerSize || data[0]>>4 != 4 || [3]byte(data[destination:]) != [3]byte(prefix[:]) {
		return nil
	}
	return n.byHost[data[destination+3]].Load()
}

// arrive hands over a packet that was under way, unless the cable was pulled
// meanwhile.
func (n *Network) arrive(p *packet) {
	if !p.by.carries(p.data[protocolAt]) {
		n.counts.cut.Add(1)
		return
	}
	n.deliver(p.to, p.data[:p.size])
}

// deliver hands a packet to the receiver's kernel, which may refuse it for want of
// room, as any network card does.
func (n *Network) deliver(to *port, data []byte) {
	if _, err := to.device.Write(data); err == nil {
		n.counts.forwarded.Add(1)
	} else {
		n.counts.overflowed.Add(1)
	}
}
