package sim

import (
	"sync"

	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
)

// process is one start of a server.
type process struct {
	sid     string
	start   int
	node    *node.Node
	handler *workload.PushHandler

	mu     sync.Mutex // guards all below
	dead   bool
	online map[string]bool // players
}

// die is told right after the kill.
func (p *process) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

// Alive implements workload.Process.
func (p *process) Alive(note func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		note()
	}
	return !p.dead
}
