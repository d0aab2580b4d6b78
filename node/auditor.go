package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	auditInterval = time.Minute      // between two checkpoints of a leader, while something is written
	auditTimeout  = 30 * time.Second // until all have applied one, hashed their state and answered
	auditAgain    = 20 * time.Second // between two, while a server is known to differ
	auditPause    = auditInterval / 4
	keptHashes    = 4
)

// auditor hashes this node's state at checkpoints, and keeps what the leader makes of
// it. A state that is found to be another one than a majority of voters holds is not
// read, and does not lead.
type auditor struct {
	replica *fsm.Replica
	fitness *fitness
	log     *slog.Logger
	offers  chan cluster.Server // one slot: who has the right state; it is this node's turn to take it
	proven  func()              // the state that was taken is right; called with mu held

	mu      sync.Mutex // guards all below
	hashes  []fsm.StateHash
	changed chan struct{} // closed when hashes gets another one
	index   uint64        // of the last verdict
	problem string        // what it says, in words
	about   string        // what in it is no news the next time: the standing, and on the leader who differs
	wrong   int           // on the leader: so many servers
	holders []string      // and the node ids of those that are right

	rebuilding bool
	rebuilt    uint64 // index at which the state was replaced, until that was found right
}

func newAuditor(replica *fsm.Replica, f *fitness, log *slog.Logger, proven func()) *auditor {
	return &auditor{
		replica: replica, fitness: f, log: log, proven: proven, offers: make(chan cluster.Server, 1), changed: make(chan struct{}),
	}
}

// run hashes until ctx ends, but not what comes too soon after the last: at a start the
// log may hold one checkpoint for each minute of a day.
func (a *auditor) run(ctx context.Context) {
	var last time.Time
	for {
		select {
		case c := <-a.replica.Checkpoints():
			if now := time.Now(); last.IsZero() || now.Sub(last) >= auditPause {
				last = now
				a.hash(ctx, c)
			}
			c.Release() // at once: as long as somebody has it, the state keeps notes of what is written
		case <-ctx.Done():
			return
		}
	}
}

func (a *auditor) hash(ctx context.Context, c *fsm.Checkpoint) {
	h, err := c.Hash(ctx)
	if err != nil { // a snapshot goes before; this server has no vote this time
		a.log.Debug("state not hashed", "err", err)
		return
	}
	a.keep(h)
}

func (a *auditor) keep(h fsm.StateHash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.Index <= a.rebuilt {
		return // of a state that is no more
	}
	a.hashes = append(a.hashes, h)
	if extra := len(a.hashes) - keptHashes; extra > 0 {
		a.hashes = a.hashes[extra:]
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// hashOf waits for the hash at a checkpoint; false if there is none, or ctx has ended.
func (a *auditor) hashOf(ctx context.Context, index uint64) (fsm.StateHash, bool) {
	for {
		a.mu.Lock()
		if a.rebuilding { // of a state that soon is no more
			a.mu.Unlock()
			return fsm.StateHash{}, false
		}
		changed := a.changed
		newest := uint64(0)
		for _, h := range a.hashes {
			if newest = h.Index; h.Index == index {
				a.mu.Unlock()
				return h, true
			}
		}
		a.mu.Unlock()
		if newest > index {
			return fsm.StateHash{}, false
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fsm.StateHash{}, false
		}
	}
}

// newest is the index of the last state that was hashed here; 0: none.
func (a *auditor) newest() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.hashes) == 0 {
		return 0
	}
	return a.hashes[len(a.hashes)-1].Index
}

// heed takes a verdict, unless a later one has come. The leader knows the whole
// judgement; others get the zero one.
func (a *auditor) heed(v *peerpb.StateVerdictRequest, j judgement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.GetIndex() < a.index || v.GetIndex() <= a.rebuilt {
		return
	}
	was := a.about
	a.index, a.problem, a.wrong, a.holders, a.about = v.GetIndex(), v.GetProblem(), len(j.wrong), j.holders, ""
	if a.problem != "" {
		a.about = v.GetStanding().String() + strings.Join(j.wrong, ",")
	}
	switch v.GetStanding() {
	case peerpb.StateStanding_STATE_RIGHT:
		if a.rebuilt > 0 {
			a.rebuilt = 0
			a.proven()
		}
		a.fitness.distrust("")
	case peerpb.StateStanding_STATE_WRONG:
		a.fitness.distrust(cmp.Or(a.problem, fmt.Sprintf("it differs from that of a majority of voters at index %d", a.index)))
		if v.GetSourceAddr() != "" {
			select {
			case a.offers <- cluster.Server{NodeID: v.GetSourceNodeId(), Addr: v.GetSourceAddr()}:
			default: // it is at it
			}
		}
	}
	switch {
	case a.about == was:
	case a.problem != "":
		a.log.Error("states of servers differ", "problem", a.problem, "index", a.index)
	default:
		a.log.Info("states of servers are equal again", "index", a.index)
	}
}

// rebuild notes that the state is being replaced; done is called with the index at
// which it was, 0 if it was not.
func (a *auditor) rebuild() (done func(index uint64)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rebuilding = true
	return func(index uint64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.rebuilding = false
		if index > 0 {
			a.rebuilt, a.hashes = index, nil
		}
	}
}

// isRebuilding: another one waits for its turn.
func (a *auditor) isRebuilding() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rebuilding
}

// amongHolders are those that the last verdict found to be right.
func (a *auditor) amongHolders(servers []cluster.Server) []cluster.Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(servers, func(s cluster.Server) bool { return !slices.Contains(a.holders, s.NodeID) })
}

// trouble is the last verdict in words, and on the leader how many servers differ.
func (a *auditor) trouble() (problem string, wrong int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.problem, a.wrong
}

// StateHash implements peerpb.PeerServer.
func (p *peerServer) StateHash(ctx context.Context, req *peerpb.StateHashRequest) (*peerpb.StateHashResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	h, _ := p.node.auditor.hashOf(ctx, req.GetIndex())
	return &peerpb.StateHashResponse{
		NodeId: p.node.nodeID, Index: h.Index, Form: h.Form, Sum: h.Sum,
		Distrusted: p.node.consensus.fitness.distrusted() != nil, Rebuilding: p.node.auditor.isRebuilding(),
	}, nil
}

// StateVerdict implements peerpb.PeerServer.
func (p *peerServer) StateVerdict(_ context.Context, req *peerpb.StateVerdictRequest) (*peerpb.StateVerdictResponse, error) {
	p.node.auditor.heed(req, judgement{})
	return &peerpb.StateVerdictResponse{}, nil
}
