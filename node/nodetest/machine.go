package nodetest

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/node/internal/sim"
	"github.com/pofresh/globalchannel/transport/memnet"
)

var _ sim.Machine = (*process)(nil)

// machine is a simulated computer: one address, and disks that survive its processes.
type machine struct {
	ip   string
	host *memnet.Host

	mu    sync.Mutex // guards disks
	disks map[string]*disk.Memory
}

func newMachine(ip string, host *memnet.Host) *machine {
	return &machine{ip: ip, host: host, disks: make(map[string]*disk.Memory)}
}

func (m *machine) disk(dir string) *disk.Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disks[dir] == nil {
		m.disks[dir] = new(disk.Memory)
	}
	return m.disks[dir]
}

// process is one start of a node on a machine. It satisfies sim.Machine.
type process struct {
	*memnet.Process
	machine *machine
	killed  atomic.Bool
}

func (m *machine) boot() *process {
	return &process{Process: m.host.Process(), machine: m}
}

// kill is SIGKILL. The sockets die before the disk freezes: the other way round,
// the node could still confirm to a leader what its successor will not find.
func (p *process) kill() {
	if p.killed.Swap(true) {
		return
	}
	p.machine.host.Crash()
	p.machine.mu.Lock()
	defer p.machine.mu.Unlock()
	for _, d := range p.machine.disks {
		d.PowerOff()
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

// Killed implements sim.Machine.
func (p *process) Killed() bool { return p.killed.Load() }
