package memnet

// traffic is a set of the kinds of what machines send each other.
type traffic uint8

const (
	streams traffic = 1 << iota
	packets
)

// Cut makes everything vanish that from sends to to; the other direction stays as it is. Stream bytes are held until
// the direction heals, dials between the two wait, packets (also those in flight) are lost. The hosts need not exist yet.
// Addresses are those that Host takes; anything else names no host, and nothing is cut.
func (n *Net) Cut(from, to string) { n.cut(from, to, streams|packets) }

// CutStreams is Cut of streams, and dials, alone. Packets arrive, unless they are cut too.
func (n *Net) CutStreams(from, to string) { n.cut(from, to, streams) }

// CutPackets is Cut of packets alone. Streams go on, unless they are cut too.
func (n *Net) CutPackets(from, to string) { n.cut(from, to, packets) }

func (n *Net) cut(from, to string, what traffic) {
	l, ok := parseLink(from, to)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[l] |= what
	n.applyLocked()
	if what&packets != 0 {
		n.loseInFlightLocked(l)
	}
}

// Unplug cuts a machine off from all others, both ways, over Heal and HealAll until Plug. It still reaches itself.
func (n *Net) Unplug(ip string) {
	addr, err := parseIP(ip)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.off[addr] = true
	n.applyLocked()
	for other := range n.hosts {
		if other != addr {
			n.loseInFlightLocked(link{addr, other})
			n.loseInFlightLocked(link{other, addr})
		}
	}
}

// Plug ends Unplug. Cuts stay.
func (n *Net) Plug(ip string) {
	addr, err := parseIP(ip)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.off, addr)
	n.applyLocked()
	n.wakeDialsLocked()
}

// vanishes reports whether that is cut. Net.mu is held.
func (n *Net) vanishes(what traffic, l link) bool {
	return n.cuts[l]&what != 0 || l.from != l.to && (n.off[l.from] || n.off[l.to])
}

// applyLocked tells all connections whether they are cut.
func (n *Net) applyLocked() {
	for p := range n.pairs {
		p.setCuts(func(l link) bool { return n.vanishes(streams, l) })
	}
}

func (n *Net) loseInFlightLocked(l link) {
	if h := n.hosts[l.to]; h != nil {
		for _, s := range h.packets {
			s.loseInFlight(l.from)
		}
	}
}

// Heal ends all cuts of that direction. What was held arrives now, or after the latency. The weather stays.
func (n *Net) Heal(from, to string) {
	l, ok := parseLink(from, to)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, l)
	n.applyLocked()
	n.wakeDialsLocked()
}

// HealAll ends all cuts, and all bad weather.
func (n *Net) HealAll() {
	n.SetWeatherEverywhere(Weather{})
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	n.applyLocked()
	n.wakeDialsLocked()
}
