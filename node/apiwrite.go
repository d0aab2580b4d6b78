package node

import (
	"context"
	"math"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Add implements pb.GlobalChannelServer.
func (a *apiServer) Add(ctx context.Context, r *pb.AddRequest) (*pb.WriteResponse, error) {
	return a.write(ctx, Op{Kind: OpAdd, Name: r.GetName(), UID: r.GetUid(), SID: r.GetSid(), Epoch: r.GetEpoch()})
}

// Leave implements pb.GlobalChannelServer.
func (a *apiServer) Leave(ctx context.Context, r *pb.LeaveRequest) (*pb.WriteResponse, error) {
	return a.write(ctx, Op{Kind: OpLeave, Name: r.GetName(), UID: r.GetUid(), SID: r.GetSid(), Epoch: r.GetEpoch()})
}

// Destroy implements pb.GlobalChannelServer.
func (a *apiServer) Destroy(ctx context.Context, r *pb.DestroyRequest) (*pb.WriteResponse, error) {
	return a.write(ctx, Op{Kind: OpDestroy, Name: r.GetName()})
}

// DestroyAll implements pb.GlobalChannelServer.
func (a *apiServer) DestroyAll(ctx context.Context, _ *pb.DestroyAllRequest) (*pb.WriteResponse, error) {
	return a.write(ctx, Op{Kind: opDestroyAll})
}

// LeaveAll implements pb.GlobalChannelServer.
func (a *apiServer) LeaveAll(ctx context.Context, r *pb.LeaveAllRequest) (*pb.WriteResponse, error) {
	return a.write(ctx, Op{Kind: OpLeaveAll, UID: r.GetUid(), SID: r.GetSid(), Epoch: r.GetEpoch(), Session: r.GetSession()})
}

// Apply implements pb.GlobalChannelServer.
func (a *apiServer) Apply(ctx context.Context, r *pb.ApplyRequest) (*pb.ApplyResponse, error) {
	if err := checkGroupLength(len(r.GetOps())); err != nil { // before anything is made out of each
		return nil, toStatus(err)
	}
	ops := make([]Op, len(r.GetOps()))
	for i, op := range r.GetOps() {
		ops[i] = Op{
			Kind: kindFromProto(op.GetKind()), Name: op.GetName(), UID: op.GetUid(), SID: op.GetSid(),
			Session: op.GetSession(), Epoch: op.GetEpoch(),
		}
	}
	ctx, cancel := answerable(ctx)
	defer cancel()
	applied, err := a.node.Apply(ctx, ops...)
	if err != nil {
		return nil, toStatus(err)
	}
	return &pb.ApplyResponse{Index: applied.Index, Changed: applied.Changed}, nil
}

// kindFromProto keeps the number, also of a kind that a newer client knows: it is
// refused as one that is not built, and must not be cut down to one that is.
func kindFromProto(k pb.OpKind) OpKind {
	return OpKind(min(uint32(k), math.MaxUint8))
}

func (a *apiServer) write(ctx context.Context, op Op) (*pb.WriteResponse, error) {
	ctx, cancel := answerable(ctx)
	defer cancel()
	w, err := a.node.write(ctx, op)
	if err != nil {
		return nil, toStatus(err)
	}
	return &pb.WriteResponse{Index: w.index}, nil
}
