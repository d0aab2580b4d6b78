package node

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Demote takes a server's vote.
func (c *consensus) Demote(ctx context.Context, nodeID string, on []cluster.Server) error {
	return c.reconfigure(ctx, "take a vote", on, func() raft.Future {
		return c.raft.DemoteVoter(raft.ServerID(nodeID), 0, configTimeout)
	})
}

// electing is the consensus as package cluster sees it: it also knows to whom to hand
// over. It satisfies cluster.Consensus.
type electing struct {
	*consensus
	successors func(context.Context) []cluster.Server
}

// HandOver gives leadership to another voter, if this node leads and there is one.
func (e electing) HandOver(ctx context.Context) error { return e.handOver(ctx, e.successors) }

// Contact is when that server's Raft last answered a heartbeat of this node.
func (c *consensus) Contact(nodeID string) time.Time { return c.courier.Contact(raft.ServerID(nodeID)) }

// Withdraw asks the server at addr to take a vote back.
func (p peers) Withdraw(ctx context.Context, addr string, r cluster.WithdrawRequest) (cluster.WithdrawReply, error) {
	c, err := p.client(addr)
	if err != nil {
		return cluster.WithdrawReply{}, err
	}
	resp, err := c.Withdraw(ctx, &peerpb.WithdrawRequest{ClusterId: r.ClusterID, NodeId: r.NodeID, Leave: r.Leave})
	if err != nil {
		return cluster.WithdrawReply{}, err
	}
	return cluster.WithdrawReply{Done: resp.GetDone(), LeaderAddr: resp.GetLeaderAddr(), Refused: resp.GetRefused(), Reason: resp.GetReason()}, nil
}

// Withdraw implements peerpb.PeerServer.
func (p *peerServer) Withdraw(ctx context.Context, req *peerpb.WithdrawRequest) (*peerpb.WithdrawResponse, error) {
	r := p.node.cluster.HandleWithdraw(ctx, cluster.WithdrawRequest{
		ClusterID: req.GetClusterId(), NodeID: req.GetNodeId(), Leave: req.GetLeave(),
	})
	return &peerpb.WithdrawResponse{Done: r.Done, LeaderAddr: r.LeaderAddr, Refused: r.Refused, Reason: r.Reason}, nil
}
