package nodetest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/node/internal/sim"
	"github.com/pofresh/globalchannel/transport/memnet"
)

var _ sim.Machine = (*process)(nil)

// machine is a simulated computer: one address, and disks that survive its processes
// and may be put into another one.
type machine struct {
	ip     string
	host   *memnet.Host
	gossip *atomic.Bool // true: what it gossips vanishes
	*drives
}

// drives are the disks of one machine, by DataDir.
type drives struct {
	mu    sync.Mutex // guards disks
	disks map[string]*disk.Memory
}

func newMachine(ip string, host *memnet.Host, gossip *atomic.Bool) *machine {
	return &machine{ip: ip, host: host, gossip: gossip, drives: &drives{disks: make(map[string]*disk.Memory)}}
}

// with is this machine with the disks of another.
func (m *machine) with(other *machine) *machine {
	return &machine{ip: m.ip, host: m.host, gossip: m.gossip, drives: other.drives}
}

func (d *drives) disk(dir string) *disk.Memory {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.disks[dir] == nil {
		d.disks[dir] = new(disk.Memory)
	}
	return d.disks[dir]
}

// process is one start of a node on a machine. It satisfies sim.Machine.
type process struct {
	*memnet.Process
	machine *machine
	killed  atomic.Bool
	compact func() // of the node that runs
}

func (m *machine) boot() *process {
	return &process{Process: m.host.Process(), machine: m}
}

// kill is SIGKILL, or with chance the loss of power. The sockets die before the disk
// freezes: the other way round, the node could still confirm to a leader what its
// successor will not find.
func (p *process) kill(chance *rand.Rand) {
	if p.killed.Swap(true) {
		return
	}
	p.machine.host.Crash()
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	for _, dir := range slices.Sorted(maps.Keys(p.machine.disks)) {
		if d := p.machine.disks[dir]; chance != nil {
			d.CutPower(chance)
		} else {
			d.PowerOff()
		}
	}
}

// OpenDisk implements sim.Machine.
func (p *process) OpenDisk(dir, sid string) (*disk.Store, error) {
	if p.killed.Load() {
		return nil, errors.New("the machine is off")
	}
	s, err := p.machine.disk(dir).Open(sid)
	if err != nil {
		return nil, err
	}
	s.Durable = true // outlives the process, which is all that it stands for
	return s, nil
}

// Compactor implements sim.Machine. It is called by node.Start.
func (p *process) Compactor(soon func()) { p.compact = soon }

// Killed implements sim.Machine.
func (p *process) Killed() bool { return p.killed.Load() }
