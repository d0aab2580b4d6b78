package nodetest

import "math/rand/v2"

// PowerOff ends servers as the loss of their machines does, all at the same moment: Kill,
// but nothing tells the others. Connections stand still instead of being reset, and dials to
// it, by servers started later too, are not refused. And what their disks had not answered
// for yet, because they are slow or stalled, may be there afterwards: all of it, nothing, or
// the beginning. What they did answer for is. PowerOn or Heal switches the machines on,
// without the servers.
func (f *Fleet) PowerOff(sids ...string) {
	f.t.Helper()
	for _, sid := range sids {
		ip := f.server(sid).machine.ip
		f.off[ip] = true
		f.net.Unplug(ip)
	}
	f.kill(sids, f.chance)
}

// PowerOn switches the machines of servers on again, without the servers: their old
// connections are reset now, and dials refused. All else that is cut stays so.
func (f *Fleet) PowerOn(sids ...string) {
	f.t.Helper()
	for _, sid := range sids {
		f.plug(f.server(sid).machine.ip)
	}
}

func (f *Fleet) plug(ip string) {
	delete(f.off, ip)
	f.net.Plug(ip)
}

func (f *Fleet) plugAll() {
	for ip := range f.off {
		f.plug(ip)
	}
}

// SetSeed makes what faults leave to chance come out as it did with that seed, as far as
// the servers do the same things in the same order. At first it is 0.
func (f *Fleet) SetSeed(seed uint64) {
	f.net.Seed(seed)
	f.chance = rand.New(rand.NewPCG(seed, 0))
}
