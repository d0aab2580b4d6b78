package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	censusTimeout = time.Second // for one server's answer
	censusAtOnce  = 64          // servers that are asked at a time
)

// census asks servers how they are, right now and all at once.
type census struct {
	nodeID string
	local  func(*peerpb.PingRequest) *peerpb.PingResponse // this very node's answer
	peers  peers
}

// subject is somebody to ask for.
type subject struct {
	nodeID, addr     string
	sid, incarnation string // "": whatever life the node has
}

// finding is what came of one question.
type finding struct {
	pong    *peerpb.PingResponse // nil: who was asked for did not answer
	problem string               // in words; "" if it answers and has none
}

func (f finding) answers() bool { return f.pong != nil }

// ask returns one finding for each subject, in their order.
func (c census) ask(ctx context.Context, subjects []subject) []finding {
	findings := make([]finding, len(subjects))
	turns := make(chan struct{}, censusAtOnce)
	var group sync.WaitGroup
	for i, s := range subjects {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			findings[i] = c.askOne(ctx, s)
		})
	}
	group.Wait()
	return findings
}

func (c census) askOne(ctx context.Context, s subject) finding {
	ctx, cancel := context.WithTimeout(ctx, censusTimeout)
	defer cancel()
	var pong *peerpb.PingResponse
	var err error
	if s.nodeID == c.nodeID {
		pong = c.local(&peerpb.PingRequest{Sid: s.sid})
	} else {
		pong, err = c.peers.ping(ctx, s.addr, s.sid)
	}
	switch {
	case err != nil && refusedConnection(err):
		return finding{problem: "nobody listens at " + s.addr}
	case status.Code(err) == codes.DeadlineExceeded || ctx.Err() != nil:
		return finding{problem: fmt.Sprintf("no answer from %s within %v", s.addr, censusTimeout)}
	case err != nil:
		return finding{problem: fmt.Sprintf("no answer from %s: %s", s.addr, sendable(delivery.Brief(err)))}
	case pong.GetNodeId() != s.nodeID:
		return finding{problem: fmt.Sprintf("at %s answers another node, %s (%s)", s.addr, pong.GetNodeId(), pong.GetSid())}
	case s.incarnation != "" && pong.GetIncarnation() != s.incarnation:
		return finding{problem: fmt.Sprintf("another life of it answers at %s", s.addr)}
	}
	return finding{pong: pong, problem: pong.GetProblem()}
}

// population is everybody there is, with what they said of themselves.
type population struct {
	alive    []entry // a life each, sorted by sid
	lifeless []entry // of the configuration, without one; sorted by node id
	last     uint64  // what lag is counted from
	lastOf   string  // the sid that has it
}

// entry is one server of a population. Lifeless ones have what is left of them.
type entry struct {
	Server
	role    string // voter, replica, attached; "": not in the configuration
	leader  bool
	finding finding // empty unless it was asked
}

// lag is how many entries the server lacks of what the leader had when both were
// asked; false if that is not known. An attached frontend has no log.
func (p *population) lag(e entry) (uint64, bool) {
	if e.Via != "" || !e.finding.answers() || p.last == 0 {
		return 0, false
	}
	return p.last - min(p.last, e.finding.pong.GetLastIndex()), true
}

// population lists everybody from this node's replica and configuration.
func (n *Node) population() (*population, error) {
	configuration, err := n.consensus.Configuration()
	if err != nil {
		return nil, err
	}
	leader, _ := n.consensus.Leader()
	inCharge := make(map[string]cluster.Server, len(configuration))
	for _, s := range configuration {
		inCharge[s.NodeID] = s
	}
	p := &population{}
	lives := make(map[string]bool)
	for _, s := range n.Servers() {
		e := entry{Server: s, role: "attached"}
		if s.Via == "" {
			lives[s.NodeID] = true
			e.role, e.leader = roleOf(inCharge, s.NodeID), s.NodeID == leader
		}
		p.alive = append(p.alive, e)
	}
	gone := n.gone()
	for _, s := range configuration {
		if lives[s.NodeID] {
			continue
		}
		e := entry{Server: gone[s.NodeID], role: roleOf(inCharge, s.NodeID), leader: s.NodeID == leader}
		e.NodeID, e.Addr, e.Epoch, e.Incarnation = s.NodeID, n.addrOf(s), 0, ""
		p.lifeless = append(p.lifeless, e)
	}
	slices.SortFunc(p.lifeless, func(a, b entry) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return p, nil
}

func roleOf(configuration map[string]cluster.Server, nodeID string) string {
	s, ok := configuration[nodeID]
	switch {
	case !ok:
		return ""
	case s.Voter:
		return "voter"
	}
	return "replica"
}

// addrOf is where a server of the configuration is to be found now.
func (n *Node) addrOf(s cluster.Server) string {
	if addr, ok := n.cluster.AddrOf(s.NodeID); ok {
		return addr
	}
	return s.Addr
}

// ask fills in how everybody is.
func (p *population) ask(ctx context.Context, c census) {
	all := make([]*entry, 0, len(p.alive)+len(p.lifeless))
	for i := range p.alive {
		all = append(all, &p.alive[i])
	}
	for i := range p.lifeless {
		all = append(all, &p.lifeless[i])
	}
	subjects := make([]subject, len(all))
	for i, e := range all {
		subjects[i] = subject{nodeID: e.NodeID, addr: e.Addr, incarnation: e.Incarnation}
		if e.Incarnation != "" {
			subjects[i].sid = e.SID
		}
	}
	for i, f := range c.ask(ctx, subjects) {
		all[i].finding = f
		if !f.answers() || all[i].Via != "" {
			continue
		}
		// The leader's word counts, also where another one has a tail that never was committed.
		if last := f.pong.GetLastIndex(); all[i].leader || last > p.last && !p.led(all) {
			p.last, p.lastOf = last, cmp.Or(all[i].SID, all[i].NodeID)
		}
	}
}

// led reports whether the leader has answered.
func (p *population) led(all []*entry) bool {
	return slices.ContainsFunc(all, func(e *entry) bool { return e.leader && e.finding.answers() })
}
