package nodetest

import (
	"net"
	"slices"
	"time"
)

// Cut makes everything vanish that from sends to to, until Heal. The other
// direction stays as it is. Nobody is told: packets are lost, connections stand still.
func (f *Fleet) Cut(from, to string) {
	f.t.Helper()
	f.net.Cut(f.server(from).machine.ip, f.server(to).machine.ip)
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

// Heal ends all cuts.
func (f *Fleet) Heal() { f.net.HealAll() }

// SetName makes a host name stand for these IP addresses from now on, for all servers;
// without any it is unknown again.
func (f *Fleet) SetName(host string, ips ...string) { f.net.SetName(host, ips...) }

// SetService gives a name these SRV records from now on; without any it is unknown again.
func (f *Fleet) SetService(name string, records ...net.SRV) { f.net.SetService(name, records...) }

// SetLatency sets how long anything takes one way between two machines; 0 at first.
func (f *Fleet) SetLatency(d time.Duration) { f.net.SetLatency(d) }

// StallDisk makes the disk of a server stand still: every entry that its node
// writes to the log from now on is neither written nor answered for until resume,
// which then lets it go on as if it had only been slow. Raft's main loop waits with
// it: a leader goes on leading but commits nothing, a follower answers nobody. Terms,
// votes and snapshots are written as ever.
//
// Kill ends the stall too, and what was held is then not on the disk; so does the end
// of the test. Close of the node does not, and reports a hanging disk call. resume may
// be called at any time and more than once. A server that is Diskless, or whose
// disk is stalled already, fails the test.
func (f *Fleet) StallDisk(sid string) (resume func()) {
	f.t.Helper()
	s := f.server(sid)
	resume, ok := s.machine.disk(s.cfg.DataDir).Stall()
	if !ok {
		f.t.Fatalf("nodetest: %q has no disk, or it is stalled already", sid)
	}
	return resume
}
