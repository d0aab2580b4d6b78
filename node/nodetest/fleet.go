package nodetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	"github.com/pofresh/globalchannel/transport/memnet"
)

// Fleet is a cluster of servers inside one test.
type Fleet struct {
	t   testing.TB
	net *memnet.Net

	gossipCut atomic.Bool
	off       map[string]bool // addresses of machines without power
	chance    *rand.Rand      // in faults of disks

	machines int
	starts   []*start          // all there ever were, in order
	servers  map[string]*start // the newest of each sid

	cleaning sync.WaitGroup // of killed nodes
}

// start is one start of a node.
type start struct {
	cfg     node.Config // complete, but for the Network
	machine *machine
	process *process
	node    *node.Node
	cleaned bool // Close has been, or is being, called
}

// Cluster starts one server per Config, each on a machine of its own, and returns
// without waiting for them; see WaitReady. A Config needs SID and SType only. What
// is left out is filled in: addresses (10.0.0.1:7400 and up), all others in Join, a
// disk (see Diskless), and Expect on the first, at most three, servers that are not
// NonVoter, unless any Config sets it. Network must be nil.
func Cluster(t testing.TB, cfgs ...node.Config) *Fleet {
	t.Helper()
	f := &Fleet{t: t, net: memnet.New(), off: make(map[string]bool), servers: make(map[string]*start)}
	f.SetSeed(0)
	t.Cleanup(f.end)
	cfgs = founders(cfgs)
	machines := make([]*machine, len(cfgs))
	join := make([]string, len(cfgs))
	for i, cfg := range cfgs {
		machines[i] = f.newMachine()
		join[i] = address(cfg, machines[i].ip)
	}
	for i, cfg := range cfgs {
		f.boot(machines[i], complete(cfg, machines[i].ip, join))
	}
	return f
}

// Start adds a server on a new machine, which joins those there are. A sid that is
// already there may be given: a server that came back on other hardware.
func (f *Fleet) Start(cfg node.Config) *node.Node {
	f.t.Helper()
	m := f.newMachine()
	var join []string
	for _, s := range f.starts {
		join = append(join, address(s.cfg, s.machine.ip))
	}
	return f.boot(m, complete(cfg, m.ip, join))
}

// Restart starts a server again that was killed or closed: the same Config on the
// same machine with the same disk. It becomes a new life of the same node.
func (f *Fleet) Restart(sid string) *node.Node {
	f.t.Helper()
	s := f.server(sid)
	return f.boot(s.machine, s.cfg)
}

// RestartWith is Restart with another Config on the same machine and disks.
func (f *Fleet) RestartWith(sid string, cfg node.Config) *node.Node {
	f.t.Helper()
	s := f.server(sid)
	return f.boot(s.machine, complete(cfg, s.machine.ip, s.cfg.Join))
}

// Move starts a server that was killed or closed on a new machine, into which its
// disks are put: another address, the same node id.
func (f *Fleet) Move(sid string, cfg node.Config) *node.Node {
	f.t.Helper()
	return f.moveTo(f.newMachine(), sid, cfg)
}

// MoveTo is Move to the machine at addr, as Address gives it for a server that ran
// there before: its address comes back with another node id.
func (f *Fleet) MoveTo(addr, sid string, cfg node.Config) *node.Node {
	f.t.Helper()
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		f.t.Fatalf("nodetest: move %q to %q: %v", sid, addr, err)
	}
	return f.moveTo(newMachine(ip, f.net.Host(ip), &f.gossipCut), sid, cfg)
}

func (f *Fleet) moveTo(m *machine, sid string, cfg node.Config) *node.Node {
	f.t.Helper()
	s := f.server(sid)
	return f.boot(m.with(s.machine), complete(cfg, m.ip, s.cfg.Join))
}

// TryRestart is Restart where the start may fail: nothing runs then.
func (f *Fleet) TryRestart(sid string) (*node.Node, error) {
	f.t.Helper()
	s := f.server(sid)
	return f.tryBoot(s.machine, s.cfg)
}

// TryRestartWith is RestartWith where the start may fail.
func (f *Fleet) TryRestartWith(sid string, cfg node.Config) (*node.Node, error) {
	f.t.Helper()
	s := f.server(sid)
	return f.tryBoot(s.machine, complete(cfg, s.machine.ip, s.cfg.Join))
}

// Kill ends servers as SIGKILL does, all at the same moment.
func (f *Fleet) Kill(sids ...string) {
	f.t.Helper()
	f.kill(sids, nil)
}

// kill leaves to chance, unless that is nil, what disks had not answered for.
func (f *Fleet) kill(sids []string, chance *rand.Rand) {
	f.t.Helper()
	for _, sid := range sids {
		f.server(sid).process.kill(chance)
	}
	for _, sid := range sids {
		f.cleanUp(f.server(sid))
	}
}

// Compact makes a server take a snapshot soon and forget the log before the last but
// one, as if it had grown long: who was away for longer needs a snapshot.
func (f *Fleet) Compact(sid string) {
	f.t.Helper()
	f.server(sid).process.compact()
}

// Snapshot is the index of the newest snapshot on a server's disk; 0: there is none.
func (f *Fleet) Snapshot(sid string) uint64 {
	f.t.Helper()
	return f.disk(sid).Snapshot()
}

// Node is the newest start of a server.
func (f *Fleet) Node(sid string) *node.Node {
	f.t.Helper()
	return f.server(sid).node
}

// Nodes are all servers that run, in the order of their start.
func (f *Fleet) Nodes() []*node.Node {
	var nodes []*node.Node
	for _, s := range f.running() {
		nodes = append(nodes, s.node)
	}
	return nodes
}

// Network is a machine outside the cluster, for clients of its public service.
func (f *Fleet) Network() transport.Network { return f.newMachine().host.Process() }

func (f *Fleet) newMachine() *machine {
	f.machines++
	ip := fmt.Sprintf("10.0.%d.%d", f.machines/250, 1+(f.machines-1)%250)
	return newMachine(ip, f.net.Host(ip), &f.gossipCut)
}

func (f *Fleet) boot(m *machine, cfg node.Config) *node.Node {
	f.t.Helper()
	n, err := f.tryBoot(m, cfg)
	if err != nil {
		f.t.Fatalf("nodetest: start %q: %v", cfg.SID, err)
	}
	return n
}

func (f *Fleet) tryBoot(m *machine, cfg node.Config) (*node.Node, error) {
	f.t.Helper()
	if cfg.Network != nil {
		f.t.Fatalf("nodetest: Config.Network of %q is set; the cluster brings its own", cfg.SID)
	}
	s := &start{cfg: cfg, machine: m, process: m.boot()}
	cfg.Network = s.process
	n, err := node.Start(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	s.node = n
	f.starts = append(f.starts, s)
	f.servers[cfg.SID] = s
	return n, nil
}

func (f *Fleet) server(sid string) *start {
	f.t.Helper()
	s, ok := f.servers[sid]
	if !ok {
		f.t.Fatalf("nodetest: no server %q in this cluster", sid)
	}
	return s
}

// running are those neither killed nor ended by themselves.
func (f *Fleet) running() []*start {
	var running []*start
	for _, s := range f.starts {
		select {
		case <-s.node.Done():
		default:
			if !s.process.Killed() {
				running = append(running, s)
			}
		}
	}
	return running
}

// cleanUp ends what is left of a dead process, in the background. Once: whoever waits
// in Close for another call of it waits on a mutex, where the time of a bubble stands.
func (f *Fleet) cleanUp(s *start) {
	if s.cleaned {
		return
	}
	s.cleaned = true
	f.cleaning.Go(func() { _ = s.node.Close() }) // the dead report no errors
}

// end pulls the plug of everything, then cleans up. Orderly ends would wait for each
// other's answers, in real time.
func (f *Fleet) end() {
	for _, s := range f.starts {
		s.process.kill(nil)
	}
	for _, s := range f.starts {
		f.cleanUp(s)
	}
	f.cleaning.Wait()
}

// Address is where a server is reached, host:port.
func (f *Fleet) Address(sid string) string {
	f.t.Helper()
	s := f.server(sid)
	return address(s.cfg, s.machine.ip)
}
