package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// electedPause is between two looks whether the new leader leads yet.
const electedPause = 10 * time.Millisecond

// operator does what an operator asks of the leader. On any other node it passes
// the request on.
type operator struct{ node *Node }

// TransferLeader gives leadership to the voter sid, or with "" to any that can take
// it, and returns the sid of the new leader once that one leads. It may be called on
// any node.
//
// ErrRefused says why it is not done: not a voter, the only voter, no answer, far
// behind, or it may not lead. ErrNotSent with ErrNoLeader: there is none to begin
// with. ErrOutcomeUnknown: leadership was given up, and ctx ended before somebody led.
func (n *Node) TransferLeader(ctx context.Context, sid string) (leader string, err error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	r, err := (&operator{n}).transferLeader(ctx, &pb.TransferLeaderRequest{Sid: sid})
	return r.GetSid(), err
}

func (o *operator) transferLeader(ctx context.Context, r *pb.TransferLeaderRequest) (*pb.TransferLeaderResponse, error) {
	if r.GetSid() != "" {
		if err := checkSID(r.GetSid()); err != nil {
			return nil, err
		}
	}
	return onLeader(ctx, o, r.GetPassedOn(), func() (*pb.TransferLeaderResponse, error) { return o.handOver(ctx, r.GetSid()) },
		func(leader pb.GlobalChannelClient) (*pb.TransferLeaderResponse, error) {
			return leader.TransferLeader(ctx, &pb.TransferLeaderRequest{Sid: r.GetSid(), PassedOn: true})
		})
}

// onLeader has it done here, if this node leads, else there. While nothing was done
// because leadership has just changed, it looks for the leader again. Who was passed a
// request does not pass it on: two nodes that take each other for the leader would
// never end.
func onLeader[Resp any](ctx context.Context, o *operator, passedOn bool, here func() (Resp, error), there func(pb.GlobalChannelClient) (Resp, error)) (resp Resp, err error) {
	route := o.node.enroll.route
	for {
		changed := route.changed()
		leader, err := o.leader(ctx)
		switch {
		case err != nil:
		case leader == nil:
			return here()
		case passedOn:
			err = notSent(fmt.Errorf("%w: leadership has just changed", ErrNoLeader))
		default:
			resp, err = there(leader)
			err = FromStatus(err)
		}
		if passedOn || ctx.Err() != nil || !errors.Is(err, ErrNotSent) || !errors.Is(err, ErrNoLeader) {
			return resp, err
		}
		route.pause(ctx, changed, electedPause)
	}
}

// leader waits until one is known; nil: this node itself.
func (o *operator) leader(ctx context.Context) (pb.GlobalChannelClient, error) {
	n := o.node
	if err := n.enroll.route.await(ctx); err != nil {
		return nil, notSent(err)
	}
	if leads, _ := n.consensus.leadership(); leads {
		return nil, nil
	}
	id, addr := n.consensus.Leader()
	if id == "" || id == n.nodeID {
		return nil, notSent(fmt.Errorf("%w: leadership has just changed", ErrNoLeader))
	}
	conn, err := n.port.Conn(addr)
	if err != nil {
		return nil, notSent(fmt.Errorf("dial the leader at %s: %w", addr, err))
	}
	return pb.NewGlobalChannelClient(conn), nil
}

// handOver runs on the leader.
func (o *operator) handOver(ctx context.Context, sid string) (*pb.TransferLeaderResponse, error) {
	n, start := o.node, time.Now()
	if sid == n.cfg.SID {
		return &pb.TransferLeaderResponse{Sid: sid, NodeId: n.nodeID}, nil // it leads
	}
	heirs, err := o.heirs(ctx, sid)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, h := range heirs {
		changed := n.enroll.route.changed()
		err := n.consensus.handOverTo(ctx, h.Server)
		if leads, _ := n.consensus.leadership(); err != nil && leads {
			failed = append(failed, fmt.Errorf("%s: %w", h.name, err))
			continue
		}
		won, err := o.elected(ctx, changed)
		if err != nil {
			return nil, outcomeUnknown(fmt.Errorf("%s was asked to lead, and no new leader is known yet", h.name), err)
		}
		if won.nodeID == n.nodeID || sid != "" && won.nodeID != h.NodeID {
			return nil, fmt.Errorf("%w: %s was asked to lead, but %s was elected: try again", ErrRefused, h.name, won.name)
		}
		return &pb.TransferLeaderResponse{Sid: won.sid, NodeId: won.nodeID, TookUs: time.Since(start).Microseconds()}, nil
	}
	return nil, fmt.Errorf("%w: leadership stays: %w", ErrRefused, errors.Join(failed...))
}

// heir is a voter that can take leadership.
type heir struct {
	cluster.Server
	name string
	lag  uint64
}

// heirs are those that can, the best first: the named one alone, or all others.
// Our own last index is taken before they are asked: who has it has caught up.
func (o *operator) heirs(ctx context.Context, sid string) ([]heir, error) {
	n := o.node
	last := n.consensus.LastIndex()
	servers, err := n.consensus.Configuration()
	if err != nil {
		return nil, err
	}
	voters := slices.DeleteFunc(servers, func(s cluster.Server) bool { return !s.Voter || s.NodeID == n.nodeID })
	if len(voters) == 0 {
		return nil, fmt.Errorf("%w: %s is the only voter", ErrRefused, n.cfg.SID)
	}
	if sid != "" {
		nodeID, err := o.nodeOf(sid)
		if err != nil {
			return nil, err
		}
		voters = slices.DeleteFunc(voters, func(s cluster.Server) bool { return s.NodeID != nodeID })
		if len(voters) == 0 {
			return nil, fmt.Errorf("%w: %s is not a voter", ErrRefused, sid)
		}
	}
	subjects := make([]subject, len(voters))
	for i, s := range voters {
		voters[i].Addr = n.addrOf(s)
		subjects[i] = subject{nodeID: s.NodeID, addr: voters[i].Addr}
	}
	var heirs []heir
	var unfit []error
	for i, f := range n.census().ask(ctx, subjects) {
		h := heir{Server: voters[i], name: o.nameOf(voters[i].NodeID)}
		h.lag = last - min(last, f.pong.GetLastIndex())
		switch {
		case !f.answers():
			unfit = append(unfit, fmt.Errorf("%s does not answer: %s", h.name, f.problem))
		case !f.pong.GetMayLead():
			unfit = append(unfit, fmt.Errorf("%s may not lead: %s", h.name, cmp.Or(f.problem, "it says no reason")))
		case h.lag > cluster.CaughtUp:
			unfit = append(unfit, fmt.Errorf("%s is %d entries behind", h.name, h.lag))
		default:
			heirs = append(heirs, h)
		}
	}
	if len(heirs) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrRefused, errors.Join(unfit...))
	}
	slices.SortFunc(heirs, func(a, b heir) int { return cmp.Or(cmp.Compare(a.lag, b.lag), cmp.Compare(a.NodeID, b.NodeID)) })
	return heirs, nil
}

// winner is who leads after a transfer.
type winner struct{ nodeID, sid, name string }

// elected waits until somebody leads and says so himself: this node may hear of an
// election before the elected one has committed anything.
func (o *operator) elected(ctx context.Context, changed <-chan struct{}) (winner, error) {
	n := o.node
	for {
		id, addr := n.consensus.Leader()
		if leads, _ := n.consensus.leadership(); leads && id == n.nodeID {
			return winner{n.nodeID, n.cfg.SID, n.cfg.SID}, nil
		}
		if id != "" && id != n.nodeID {
			f := n.census().askOne(ctx, subject{nodeID: id, addr: addr})
			if f.pong.GetLeader() {
				return winner{id, f.pong.GetSid(), f.pong.GetSid()}, nil
			}
		}
		n.enroll.route.pause(ctx, changed, electedPause)
		if ctx.Err() != nil {
			return winner{}, ended(ctx)
		}
		changed = n.enroll.route.changed()
	}
}

// nodeOf is the node that a sid has, or had last.
func (o *operator) nodeOf(sid string) (string, error) {
	var s fsm.Server
	known := false
	o.node.replica.Read(func(state fsm.Reads) { s, known = state.Server(sid) })
	switch {
	case !known:
		return "", fmt.Errorf("%w: no server %q", ErrUnknownServer, sid)
	case s.Via != "":
		return "", fmt.Errorf("%w: %s is attached to %s and has no part in Raft", ErrRefused, sid, s.Via)
	}
	return s.NodeID, nil
}

// nameOf is what people call a node.
func (o *operator) nameOf(nodeID string) string {
	for _, s := range o.node.Servers() {
		if s.NodeID == nodeID && s.Via == "" {
			return s.SID
		}
	}
	if s, ok := o.node.gone()[nodeID]; ok {
		return s.SID
	}
	return "node " + nodeID
}

func (n *Node) census() census {
	return census{nodeID: n.nodeID, local: n.rollCall.answer, peers: peers{n.port}}
}

// gone are the last lives of nodes that have none now, by node id.
func (n *Node) gone() map[string]Server {
	gone := make(map[string]Server)
	n.replica.Read(func(s fsm.Reads) {
		for _, srv := range s.Records() {
			if !srv.Up && srv.Via == "" && srv.Epoch >= gone[srv.NodeID].Epoch {
				gone[srv.NodeID] = serverOf(srv)
			}
		}
	})
	return gone
}
