package node

import (
	"context"

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

// operate runs a request that may be passed on, in time for its answer to arrive.
func operate[Req, Resp any](a *apiServer, ctx context.Context, r Req, do func(context.Context, Req) (Resp, error)) (Resp, error) {
	ctx, cancel := answerable(ctx)
	defer cancel()
	ctx, cancel = a.node.bounded(ctx)
	defer cancel()
	resp, err := do(ctx, r)
	return resp, toStatus(err)
}
