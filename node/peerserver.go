package node

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// maxDeliverUIDs bounds what one push may make a frontend hold.
const maxDeliverUIDs = 256 << 20 // bytes

// peerServer answers other servers. It satisfies peerpb.PeerServer and, for a
// node that is its own leader, leaderCalls.
type peerServer struct {
	peerpb.UnimplementedPeerServer
	node *Node
}

// Promise implements peerpb.PeerServer.
func (p *peerServer) Promise(ctx context.Context, req *peerpb.PromiseRequest) (*peerpb.PromiseResponse, error) {
	err := p.node.cluster.HandlePromise(ctx, proposalFromProto(req), req.GetRelease())
	switch {
	case err == nil:
		return &peerpb.PromiseResponse{Promised: true}, nil
	case errors.Is(err, cluster.ErrPromiseRefused):
		return &peerpb.PromiseResponse{Reason: err.Error()}, nil
	default:
		return nil, status.Error(codes.Internal, err.Error())
	}
}

// Join implements peerpb.PeerServer.
func (p *peerServer) Join(ctx context.Context, req *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	r := p.node.cluster.HandleJoin(ctx, cluster.JoinRequest{
		ClusterID: req.GetClusterId(), NodeID: req.GetNodeId(), Addr: req.GetAddr(), SID: req.GetSid(), Generation: req.GetGeneration(), Level: req.GetLevel(), Member: req.GetMember(),
	})
	return &peerpb.JoinResponse{Joined: r.Joined, LeaderAddr: r.LeaderAddr, Refused: r.Refused, Reason: r.Reason, Founders: uint32(r.Founders)}, nil
}

// Ping implements peerpb.PeerServer.
func (p *peerServer) Ping(_ context.Context, req *peerpb.PingRequest) (*peerpb.PingResponse, error) {
	return p.node.rollCall.answer(req), nil
}

// Register implements peerpb.PeerServer.
func (p *peerServer) Register(ctx context.Context, req *peerpb.RegisterRequest) (*peerpb.RegisterResponse, error) {
	var up fsmpb.ServerUp
	if err := proto.Unmarshal(req.GetServerUp(), &up); err != nil {
		return nil, status.Error(codes.InvalidArgument, "undecodable registration")
	}
	return p.node.committer.register(ctx, &up), nil
}

// Unregister implements peerpb.PeerServer.
func (p *peerServer) Unregister(ctx context.Context, req *peerpb.UnregisterRequest) (*peerpb.UnregisterResponse, error) {
	return p.node.committer.unregister(ctx, req), nil
}

// Forward implements peerpb.PeerServer.
func (p *peerServer) Forward(stream peerpb.Peer_ForwardServer) error {
	return p.node.desk.serve(stream)
}

// ReadIndex implements peerpb.PeerServer.
func (p *peerServer) ReadIndex(ctx context.Context, _ *peerpb.ReadIndexRequest) (*peerpb.ReadIndexResponse, error) {
	return p.node.desk.readIndex(ctx), nil
}

// Pushes implements peerpb.PeerServer.
func (p *peerServer) Pushes(stream peerpb.Peer_PushesServer) error {
	return p.node.pushes.Serve(stream)
}

// Deliver implements peerpb.PeerServer, for servers from before there was Pushes.
func (p *peerServer) Deliver(stream peerpb.Peer_DeliverServer) error {
	head, uids, err := receivePush(stream)
	if err != nil {
		return err
	}
	d := &Delivery{Route: head.GetRoute(), Channel: head.GetChannel(), From: head.GetFrom(), Msg: head.GetMsg(), uids: uids}
	a := p.node.arrivals.deliver(stream.Context(), head.GetSid(), head.GetEpoch(), d)
	first := true
	for chunk := range delivery.Chunks(a.offline, maxChunk) {
		resp := &peerpb.DeliverResponse{Offline: chunk}
		if first {
			resp.Outcome, resp.Reason, first = outcomeToPeer(a.outcome), a.reason, false
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
	return nil
}

func receivePush(stream peerpb.Peer_DeliverServer) (*peerpb.DeliverHead, []string, error) {
	var head *peerpb.DeliverHead
	var uids []string
	bytes := 0
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if head == nil {
			head = req.GetHead()
		}
		for _, uid := range req.GetUids() {
			bytes += len(uid)
		}
		if bytes > maxDeliverUIDs {
			return nil, nil, status.Error(codes.ResourceExhausted, "too many receivers in one push")
		}
		uids = append(uids, req.GetUids()...)
	}
	if head == nil {
		return nil, nil, status.Error(codes.InvalidArgument, "a push without a head")
	}
	return head, uids, nil
}
