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
	if what&streams != 0 {
		for p := range n.pairs {
			p.setCut(l, true)
		}
	}
	if h := n.hosts[l.to]; h != nil && what&packets != 0 {
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
	n.healLocked(l)
}

// HealAll ends all cuts, and all bad weather.
func (n *Net) HealAll() {
	n.SetWeatherEverywhere(Weather{})
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.cuts {
		n.healLocked(l)
	}
}

func (n *Net) healLocked(l link) {
	delete(n.cuts, l)
	for p := range n.pairs {
		p.setCut(l, false)
	}
	n.wakeDialsLocked()
}
