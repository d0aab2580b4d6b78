package nodetest

import (
	"net"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/transport/memnet"
)

// Cut makes everything vanish that from sends to to, until Heal. The other
// direction stays as it is. Nobody is told: packets are lost, connections stand still.
func (f *Fleet) Cut(from, to string) {
	f.t.Helper()
	f.net.Cut(f.server(from).machine.ip, f.server(to).machine.ip)
}

// CutPackets is Cut of packets alone: all of them are gossip.
func (f *Fleet) CutPackets(from, to string) {
	f.t.Helper()
	f.net.CutPackets(f.server(from).machine.ip, f.server(to).machine.ip)
}

// CutStreams is Cut of connections alone: Raft, all calls, and of gossip what its packets
// do not carry.
func (f *Fleet) CutStreams(from, to string) {
	f.t.Helper()
	f.net.CutStreams(f.server(from).machine.ip, f.server(to).machine.ip)
}

// Isolate cuts the given servers off from all others, both ways, until Heal. Among
// each other they can talk. Servers started later are not cut off.
func (f *Fleet) Isolate(sids ...string) {
	f.t.Helper()
	for _, sid := range sids {
		f.server(sid) // fails the test for a sid that is not there
	}
	for sid, inside := range f.servers {
		if !slices.Contains(sids, sid) {
			continue
		}
		for other, outside := range f.servers {
			if !slices.Contains(sids, other) {
				f.net.Cut(inside.machine.ip, outside.machine.ip)
				f.net.Cut(outside.machine.ip, inside.machine.ip)
			}
		}
	}
}

// CutGossip makes everything vanish that servers gossip, packets and streams, until
// Heal. All other calls between them go on.
func (f *Fleet) CutGossip() { f.gossipCut.Store(true) }

// Heal ends all cuts and all weather, and switches on what is without power.
func (f *Fleet) Heal() {
	f.gossipCut.Store(false)
	f.plugAll()
	f.net.HealAll()
}

// SetName makes a host name stand for these IP addresses from now on, for all servers;
// without any it is unknown again.
func (f *Fleet) SetName(host string, ips ...string) { f.net.SetName(host, ips...) }

// SetService gives a name these SRV records from now on; without any it is unknown again.
func (f *Fleet) SetService(name string, records ...net.SRV) { f.net.SetService(name, records...) }

// SetLatency sets how long anything takes one way between two machines; 0 at first.
func (f *Fleet) SetLatency(d time.Duration) { f.net.SetLatency(d) }

// Weather is what becomes of what one machine sends another. The zero value is good weather.
//
// Packets, which all are gossip, are lost, come twice, and are overtaken. A connection loses
// and reorders nothing: what of it is lost is sent again after 200 ms (a dial after a
// second), then after twice as long, and so on up to seven times; all that follows in that direction waits.
type Weather struct {
	Delay, Jitter time.Duration // one way, added to the latency; of Jitter any part
	Loss          float64       // of packets, also of those that connections consist of: 0 to 1
	Duplicate     float64       // of packets: the share that comes twice
	Reorder       float64       // of packets: the share that comes behind the next one, or a second late if none is sent
}

// SetWeather sets the weather from one server to another, until Heal. The other direction
// stays as it is. It is that of the machines: a server that is moved leaves it behind.
func (f *Fleet) SetWeather(from, to string, w Weather) {
	f.t.Helper()
	f.net.SetWeather(f.server(from).machine.ip, f.server(to).machine.ip, memnet.Weather(w))
}

// SetWeatherEverywhere sets the weather between all machines, also those to come, in place
// of what SetWeather has set.
func (f *Fleet) SetWeatherEverywhere(w Weather) { f.net.SetWeatherEverywhere(memnet.Weather(w)) }

// Touched counts what met bad weather, or a cut, when it was sent: packets, and writes to
// connections. With it a test sees that a fault was one.
func (f *Fleet) Touched() uint64 { return f.net.Touched() }
