package node

import (
	"context"
	"fmt"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Servers implements pb.GlobalChannelServer.
func (a *apiServer) Servers(ctx context.Context, r *pb.ServersRequest) (*pb.ServersResponse, error) {
	ctx, cancel := answerable(ctx)
	defer cancel()
	ctx, cancel = a.node.bounded(ctx)
	defer cancel()
	// Like any read: what this node has acknowledged, such as an Attach, shows. But
	// who asks why a node is not ready gets an answer.
	if err := a.node.reader.wait(ctx, max(r.GetMinIndex(), a.node.reader.acked.Load())); err != nil {
		return nil, toStatus(err)
	}
	out := &pb.ServersResponse{Index: a.node.replica.Index()}
	all, err := a.node.population()
	if err != nil {
		return nil, toStatus(err)
	}
	if r.GetHealth() {
		all.ask(ctx, a.node.census())
		out.LastIndex, out.LastIndexOf = all.last, all.lastOf
	}
	out.Servers = all.toProto(all.alive, r.GetHealth())
	out.Lifeless = all.toProto(all.lifeless, r.GetHealth())
	return out, nil
}

func (p *population) toProto(entries []entry, health bool) (out []*pb.Server) {
	for _, e := range entries {
		s := &pb.Server{
			Sid: e.SID, Stype: e.SType, NodeId: e.NodeID, Epoch: e.Epoch, Addr: e.Addr, Via: e.Via, Zone: e.Zone,
			Leader: e.leader, Role: e.role,
		}
		if health {
			s.Health = &pb.Health{Problem: e.finding.problem, Answers: e.finding.answers(), Version: e.finding.pong.GetVersion()}
			if lag, ok := p.lag(e); ok {
				s.Health.Lag = &lag
			}
		}
		out = append(out, s)
	}
	return out
}

// TransferLeader implements pb.GlobalChannelServer.
func (a *apiServer) TransferLeader(ctx context.Context, r *pb.TransferLeaderRequest) (*pb.TransferLeaderResponse, error) {
	return operate(a, ctx, r, (&operator{a.node}).transferLeader)
}

// RemoveServer implements pb.GlobalChannelServer.
func (a *apiServer) RemoveServer(ctx context.Context, r *pb.RemoveServerRequest) (*pb.RemoveServerResponse, error) {
	return operate(a, ctx, r, (&operator{a.node}).removeServer)
}

// Decommission implements pb.GlobalChannelServer. It goes on when the caller has gone:
// from the middle of it there is no way back.
func (a *apiServer) Decommission(ctx context.Context, r *pb.DecommissionRequest) (*pb.DecommissionResponse, error) {
	n := a.node
	if r.GetSid() != "" && r.GetSid() != n.cfg.SID {
		return nil, toStatus(fmt.Errorf("%w: this server is %s, not %s", ErrRefused, n.cfg.SID, r.GetSid()))
	}
	ctx, cancel := answerable(ctx)
	defer cancel()
	result := make(chan error, 1)
	go func() { // ends with the node at the latest; Close must not wait for who waits for Close
		err := n.Decommission(context.WithoutCancel(ctx))
		if err != nil {
			n.log.Error("not decommissioned", "err", err)
		}
		result <- err
	}()
	select {
	case <-n.decommission.leaving:
	case err := <-result:
		if err != nil {
			return nil, toStatus(notSent(err))
		}
	case <-ctx.Done():
		return nil, toStatus(outcomeUnknown(ended(ctx)))
	}
	return &pb.DecommissionResponse{Sid: n.cfg.SID}, nil
}

// operate runs a request that may be passed on, in time for its answer to arrive.
func operate[Req, Resp any](a *apiServer, ctx context.Context, r Req, do func(context.Context, Req) (Resp, error)) (Resp, error) {
	ctx, cancel := answerable(ctx)
	defer cancel()
	ctx, cancel = a.node.bounded(ctx)
	defer cancel()
	resp, err := do(ctx, r)
	return resp, toStatus(err)
}
