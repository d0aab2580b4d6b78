package workload_test

import (
	"context"

	"google.golang.org/grpc"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// apply does a group, except for the bugs that only groups can show.
func (f *fakeCluster) apply(ops []*pb.Op) *pb.ApplyResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beginLocked()
	f.index++
	out := &pb.ApplyResponse{Index: f.index}
	unlucky := f.writes%20 == 0
	if unlucky {
		for _, op := range f.again {
			f.doLocked(op)
		}
	}
	for i, op := range ops {
		if f.bug == tearsGroups && unlucky && i > 0 {
			out.Changed = append(out.Changed, true)
			continue
		}
		out.Changed = append(out.Changed, f.doLocked(op))
	}
	if f.bug == forgetsResults && unlucky {
		for i, op := range ops {
			out.Changed[i] = f.doLocked(op)
		}
	}
	if f.bug == appliesTwice && f.writes%20 == 10 {
		f.again = ops
	}
	return out
}

// doLocked does one operation and tells whether it changed anything.
func (f *fakeCluster) doLocked(op *pb.Op) (changed bool) {
	if op.GetKind() == pb.OpKind_OP_KIND_ADD {
		m := fakeMember{op.GetName(), op.GetUid(), op.GetSid()}
		_, was := f.members[m]
		f.members[m] = f.index
		return !was
	}
	for m := range f.members {
		player, channel := m.uid == op.GetUid() && m.sid == op.GetSid(), m.name == op.GetName()
		switch op.GetKind() {
		case pb.OpKind_OP_KIND_LEAVE:
			if !player || !channel {
				continue
			}
		case pb.OpKind_OP_KIND_LEAVE_ALL:
			if !player {
				continue
			}
		case pb.OpKind_OP_KIND_DESTROY:
			if !channel {
				continue
			}
		}
		delete(f.members, m)
		changed = true
	}
	return changed
}

func (s *fakeServer) Apply(_ context.Context, r *pb.ApplyRequest, _ ...grpc.CallOption) (*pb.ApplyResponse, error) {
	return s.cluster.apply(r.GetOps()), nil
}

func (s *fakeServer) LeaveAll(_ context.Context, r *pb.LeaveAllRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	out := s.cluster.apply([]*pb.Op{{Kind: pb.OpKind_OP_KIND_LEAVE_ALL, Uid: r.GetUid(), Sid: r.GetSid()}})
	return &pb.WriteResponse{Index: out.GetIndex()}, nil
}

func (s *fakeServer) Destroy(_ context.Context, r *pb.DestroyRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	out := s.cluster.apply([]*pb.Op{{Kind: pb.OpKind_OP_KIND_DESTROY, Name: r.GetName()}})
	return &pb.WriteResponse{Index: out.GetIndex()}, nil
}
