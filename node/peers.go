package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// dialer gives a shared connection to an address.
type dialer interface {
	Conn(addr string) (*grpc.ClientConn, error)
}

// peers calls other servers. It satisfies cluster.Peers.
type peers struct{ dial dialer }

func (p peers) client(addr string) (peerpb.PeerClient, error) {
	conn, err := p.dial.Conn(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return peerpb.NewPeerClient(conn), nil
}

// Promise asks the founder at addr to bind itself to p, or to let go of it.
func (p peers) Promise(ctx context.Context, addr string, proposal cluster.Proposal, release bool) error {
	c, err := p.client(addr)
	if err != nil {
		return err
	}
	resp, err := c.Promise(ctx, proposalToProto(proposal, release))
	if err != nil {
		return fmt.Errorf("ask %s for its promise: %w", addr, err)
	}
	if !resp.GetPromised() {
		return fmt.Errorf("%w: %s", cluster.ErrPromiseRefused, resp.GetReason())
	}
	return nil
}

// Join asks the server at addr to let r into the configuration.
func (p peers) Join(ctx context.Context, addr string, r cluster.JoinRequest) (cluster.JoinReply, error) {
	c, err := p.client(addr)
	if err != nil {
		return cluster.JoinReply{}, err
	}
	resp, err := c.Join(ctx, &peerpb.JoinRequest{ClusterId: r.ClusterID, NodeId: r.NodeID, Addr: r.Addr, Sid: r.SID, Generation: r.Generation, Level: r.Level, Member: r.Member})
	if err != nil {
		return cluster.JoinReply{}, fmt.Errorf("ask %s to join: %w", addr, err)
	}
	return cluster.JoinReply{Joined: resp.GetJoined(), Founders: int(resp.GetFounders()), LeaderAddr: resp.GetLeaderAddr(), Refused: resp.GetRefused(), Reason: resp.GetReason()}, nil
}

// Progress asks the server at addr how far its log is.
func (p peers) Progress(ctx context.Context, addr string) (cluster.Progress, error) {
	resp, err := p.ping(ctx, addr, "")
	if err != nil {
		return cluster.Progress{}, err
	}
	return cluster.Progress{NodeID: resp.GetNodeId(), LastIndex: resp.GetLastIndex(), NonVoter: resp.GetNonVoter()}, nil
}

// Ping asks the process at addr which of these lives are there.
func (p peers) Ping(ctx context.Context, addr string, lives []cluster.Life) (cluster.Answer, error) {
	c, err := p.client(addr)
	if err != nil {
		return cluster.Answer{}, err
	}
	resp, err := c.Ping(ctx, &peerpb.PingRequest{Lives: livesToProto(lives)})
	if err != nil {
		return cluster.Answer{}, err
	}
	return answerFromProto(resp, lives), nil
}

// ping asks who answers at addr, and for the life of sid there if sid is set.
func (p peers) ping(ctx context.Context, addr, sid string) (*peerpb.PingResponse, error) {
	c, err := p.client(addr)
	if err != nil {
		return nil, err
	}
	return c.Ping(ctx, &peerpb.PingRequest{Sid: sid})
}

// leaderCalls is what any node asks of the leader.
type leaderCalls interface {
	Ping(context.Context, *peerpb.PingRequest) (*peerpb.PingResponse, error)
	Register(context.Context, *peerpb.RegisterRequest) (*peerpb.RegisterResponse, error)
	Unregister(context.Context, *peerpb.UnregisterRequest) (*peerpb.UnregisterResponse, error)
	ReadIndex(context.Context, *peerpb.ReadIndexRequest) (*peerpb.ReadIndexResponse, error)
}

// remoteLeader is a leader in another process.
type remoteLeader struct{ peerpb.PeerClient }

func (r remoteLeader) Ping(ctx context.Context, in *peerpb.PingRequest) (*peerpb.PingResponse, error) {
	return r.PeerClient.Ping(ctx, in)
}
func (r remoteLeader) Register(ctx context.Context, in *peerpb.RegisterRequest) (*peerpb.RegisterResponse, error) {
	return r.PeerClient.Register(ctx, in)
}
func (r remoteLeader) Unregister(ctx context.Context, in *peerpb.UnregisterRequest) (*peerpb.UnregisterResponse, error) {
	return r.PeerClient.Unregister(ctx, in)
}
func (r remoteLeader) ReadIndex(ctx context.Context, in *peerpb.ReadIndexRequest) (*peerpb.ReadIndexResponse, error) {
	return r.PeerClient.ReadIndex(ctx, in)
}

// leaderRoute finds the leader: this very node, or a remote one.
type leaderRoute struct {
	nodeID    string
	consensus *consensus
	local     leaderCalls
	desk      *desk // where this node's own batches go while it leads
	peers     peers
}

// leader returns ErrNoLeader while none is known.
func (r *leaderRoute) leader() (leaderCalls, error) {
	id, addr := r.consensus.Leader()
	switch id {
	case "":
		return nil, ErrNoLeader
	case r.nodeID:
		return r.local, nil
	}
	c, err := r.peers.client(addr)
	if err != nil {
		return nil, err
	}
	return remoteLeader{c}, nil
}

// known reports whether a leader is.
func (r *leaderRoute) known() bool {
	id, _ := r.consensus.Leader()
	return id != ""
}

// changed is closed when this node, or another one, may have become the leader.
func (r *leaderRoute) changed() <-chan struct{} {
	_, changed := r.consensus.leadership()
	return changed
}

// await waits until a leader is known.
func (r *leaderRoute) await(ctx context.Context) error {
	for {
		changed := r.changed()
		if r.known() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(ErrNoLeader, ended(ctx))
		}
	}
}

// follow returns a context that ends when ctx does, after limit (0: none), or when
// another leader is known: a call to a leader that was paused would otherwise hang on it.
func (r *leaderRoute) follow(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	was, _ := r.consensus.Leader()
	var cancel context.CancelFunc
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	go func() {
		for {
			_, changed := r.consensus.leadership()
			if now, _ := r.consensus.Leader(); now != was && now != "" {
				cancel()
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}

// pause waits for the next try: until leadership changes, d has passed or ctx ended.
func (r *leaderRoute) pause(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
	}
}

func proposalToProto(p cluster.Proposal, release bool) *peerpb.PromiseRequest {
	req := &peerpb.PromiseRequest{ClusterId: p.ClusterID, Settings: p.Settings, Release: release}
	for _, f := range p.Founders {
		req.Founders = append(req.Founders, &peerpb.Founder{NodeId: f.NodeID, Addr: f.Addr})
	}
	return req
}

func proposalFromProto(req *peerpb.PromiseRequest) cluster.Proposal {
	p := cluster.Proposal{ClusterID: req.GetClusterId(), Settings: req.GetSettings()}
	for _, f := range req.GetFounders() {
		p.Founders = append(p.Founders, cluster.Founder{NodeID: f.GetNodeId(), Addr: f.GetAddr()})
	}
	return p
}

func encodeSettings(s Settings) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.toProto())
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return b, nil
}

func decodeSettings(b []byte) (*fsmpb.Settings, error) {
	var s fsmpb.Settings
	if err := proto.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("decode settings: %w", err)
	}
	return &s, nil
}
