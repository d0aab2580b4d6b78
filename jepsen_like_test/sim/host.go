package sim

import (
	"context"

	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

var (
	_ workload.Host        = (*Server)(nil)
	_ workload.HostProcess = (*process)(nil)
)

// Hosts implements trial.Hosting.
func (c *Cluster) Hosts() (hosts []workload.Host) {
	for _, sid := range c.everybody() {
		hosts = append(hosts, c.servers[sid])
	}
	return hosts
}

// Up implements workload.Host.
func (s *Server) Up(ctx context.Context) workload.HostProcess {
	if p := s.process(ctx); p != nil {
		return p
	}
	return nil
}

// Session implements workload.HostProcess.
func (p *process) Session(uid string) workload.Connection { return p.node.Session(uid) }

// Online implements workload.HostProcess.
func (p *process) Online(uid string, there bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.online[uid] = there
}

// isOnline is what the node asks.
func (p *process) isOnline(uid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.online[uid]
}
