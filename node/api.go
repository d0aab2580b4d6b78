package node

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// RegisterAPI puts the public service globalchannel.v1.GlobalChannel on the
// host's own gRPC server, which then answers for who may call it. This node's own
// port serves it too.
func (n *Node) RegisterAPI(s grpc.ServiceRegistrar) {
	pb.RegisterGlobalChannelServer(s, &apiServer{node: n})
}

// apiServer is the public service over a node.
type apiServer struct {
	pb.UnimplementedGlobalChannelServer
	node *Node
}

// answerTime is what a call over the wire leaves of its deadline for the way
// back: else the caller's own clock ends the call first, and the class of the
// error, which is what it needs to know, never arrives.
const answerTime = 50 * time.Millisecond

// answerable ends early enough for the answer to arrive.
func answerable(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	left := time.Until(deadline)
	return context.WithTimeout(ctx, left-min(answerTime, left/10))
}

// memberChunk is how many bytes of members travel in one message.
const memberChunk = 1 << 20

// Members implements pb.GlobalChannelServer.
func (a *apiServer) Members(r *pb.MembersRequest, stream grpc.ServerStreamingServer[pb.MembersResponse]) error {
	ctx, cancel := answerable(stream.Context())
	defer cancel()
	members, index, err := a.members(ctx, r)
	if err != nil {
		return toStatus(err)
	}
	chunk, size := &pb.MembersResponse{Index: index}, 0
	for _, m := range members {
		chunk.Members = append(chunk.Members, m)
		if size += len(m.GetUid()) + len(m.GetSid()) + 8; size >= memberChunk {
			if err := stream.Send(chunk); err != nil {
				return err
			}
			chunk, size = &pb.MembersResponse{Index: index}, 0
		}
	}
	return stream.Send(chunk)
}

func (a *apiServer) members(ctx context.Context, r *pb.MembersRequest) (out []*pb.Member, index uint64, err error) {
	sid, stype, name := r.GetSid(), r.GetStype(), r.GetName()
	if sid != "" && stype != "" {
		return nil, 0, invalid("sid", "and stype exclude each other")
	}
	checks := []error{checkName(name)}
	if sid != "" {
		checks = append(checks, checkSID(sid))
	}
	if stype != "" {
		checks = append(checks, checkSType(stype))
	}
	if err := firstError(checks...); err != nil {
		return nil, 0, err
	}
	if a.node.managed != nil {
		out, err = a.node.managed.members(ctx, r)
		return out, 0, err // of no index
	}
	var uids fsm.List
	var members fsm.MemberList
	err = a.node.read(ctx, optionsOf(r), func(s fsm.Reads) {
		index = s.Index() // of this very list
		switch {
		case sid != "":
			uids = s.MembersBySID(name, sid)
		case stype != "":
			uids = s.MembersByType(name, stype)
		default:
			members = s.Members(name)
		}
	})
	for _, uid := range uids.UIDs() {
		out = append(out, &pb.Member{Uid: uid, Sid: sid})
	}
	for _, m := range members.Members() {
		out = append(out, &pb.Member{Uid: m.UID, Sid: m.SID})
	}
	return out, index, err
}

// freshness is how fresh the answer to a request must be.
type freshness interface {
	GetStale() bool
	GetMinIndex() uint64
	GetLinearizable() bool
	GetMaxStalenessMs() int64
}

// optionsOf are the read options of a request; the read refuses more than one.
func optionsOf(r freshness) (opts []ReadOption) {
	if r.GetStale() {
		opts = append(opts, Stale())
	}
	if r.GetMinIndex() > 0 {
		opts = append(opts, AtLeast(r.GetMinIndex()))
	}
	if r.GetLinearizable() {
		opts = append(opts, Linearizable())
	}
	if ms := r.GetMaxStalenessMs(); ms != 0 {
		const most = int64(math.MaxInt64 / time.Millisecond)
		ms = max(-1, min(ms, most)) // a negative one is refused
		opts = append(opts, MaxStaleness(time.Duration(ms)*time.Millisecond))
	}
	return opts
}

// Push implements pb.GlobalChannelServer.
func (a *apiServer) Push(ctx context.Context, r *pb.PushRequest) (*pb.PushResponse, error) {
	if r.GetTimeoutMs() < 0 {
		return nil, toStatus(invalid("timeout_ms", "is negative"))
	}
	if r.GetTimeoutMs() > 0 { // of all of it, the wait for min_index included
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.GetTimeoutMs())*time.Millisecond)
		defer cancel()
	}
	ctx, cancel := a.node.bounded(ctx)
	defer cancel()
	if err := a.node.reader.wait(ctx, r.GetMinIndex()); err != nil {
		return nil, toStatus(err)
	}
	result, err := a.node.PushMessage(ctx, r.GetStype(), r.GetRoute(), r.GetMsg(), r.GetName(), PushOptions{})
	if err != nil && result.Members == 0 {
		return nil, toStatus(err)
	}
	return pushResponse(result, err), nil
}

func pushResponse(r PushResult, err error) *pb.PushResponse {
	out := &pb.PushResponse{Index: r.Index, Members: int64(r.Members), Ok: r.OK()}
	if err != nil {
		out.Error = err.Error()
	}
	room := maxListed
	out.Failed = within(&room, slices.Values(r.Failed))
	out.Undelivered = within(&room, r.Undelivered())
	for _, s := range r.Servers {
		out.Servers = append(out.Servers, &pb.ServerReport{
			Sid: s.SID, Outcome: pb.Outcome(s.Outcome), Reason: s.Reason,
			Members: int64(s.Members), Failed: within(&room, slices.Values(s.Failed)), LatencyUs: s.Latency.Microseconds(),
		})
	}
	out.Truncated = room < 0
	return out
}

// maxListed is how many bytes of uids fit into one answer beside everything else.
const maxListed = 4 << 20

// within takes uids while there is room, which is negative once one was left out.
func within(room *int, uids iter.Seq[string]) (list []string) {
	for uid := range uids {
		if *room -= len(uid) + 4; *room < 0 {
			return list
		}
		list = append(list, uid)
	}
	return list
}

// Status implements pb.GlobalChannelServer.
func (a *apiServer) Status(ctx context.Context, r *pb.StatusRequest) (*pb.StatusResponse, error) {
	if !r.GetHash() { // who compares replicas must not move them
		a.node.awaitAge(ctx)
	}
	s := a.node.status()
	out := &pb.StatusResponse{
		Sid: s.SID, Stype: s.SType, NodeId: s.NodeID, ClusterId: s.ClusterID, Role: s.Role, Leader: s.Leader,
		Term: s.Term, Applied: s.Applied, Level: s.Level, Ready: s.Ready, Problem: s.Problem, Addr: s.Addr, Epoch: s.Epoch,
		Voters: uint32(s.Voters),
	}
	if out.Leader == "" {
		out.Leader = s.LeaderNodeID
	}
	if s.Age != nil {
		ms := s.Age.Milliseconds()
		out.AgeMs = &ms
	}
	if r.GetHash() {
		out.Applied, out.StateHash = a.node.replica.Hash()
	}
	return out, nil
}

// Attach implements pb.GlobalChannelServer.
func (a *apiServer) Attach(stream grpc.BidiStreamingServer[pb.AttachRequest, pb.AttachResponse]) error {
	return toStatus(a.node.agent.serve(stream))
}
