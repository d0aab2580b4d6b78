package workload_test

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// apply does a group, except for the bugs that only groups can show.
func (f *fakeCluster) apply(via string, ops []*pb.Op) (*pb.ApplyResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beginLocked()
	f.index++
	f.repeatLocked()
	if err := f.refusesGroupLocked(via, ops); err != nil {
		return nil, err
	}
	out := &pb.ApplyResponse{Index: f.index}
	for i, op := range ops {
		touched := f.touchedLocked(op)
		out.Changed = append(out.Changed, len(touched) > 0)
		if i > 0 && len(touched) > 0 && f.strikesLocked(tearsGroups) {
			continue
		}
		f.doLocked(op, touched)
	}
	if slices.Contains(out.Changed, true) && f.strikesLocked(forgetsResults) {
		for i, op := range ops {
			touched := f.touchedLocked(op)
			out.Changed[i] = len(touched) > 0
			f.doLocked(op, touched)
		}
	}
	if f.again == nil && f.strikesLocked(appliesTwice) {
		f.again, f.againAt = ops, f.writes+10
	}
	return out, nil
}

// refusesGroupLocked tries a group on a copy.
func (f *fakeCluster) refusesGroupLocked(via string, ops []*pb.Op) error {
	before, removed := maps.Clone(f.members), maps.Clone(f.removed)
	defer func() { f.members, f.removed = before, removed }()
	for _, op := range ops {
		touched := f.touchedLocked(op)
		add := op.GetKind() == pb.OpKind_OP_KIND_ADD
		sid := op.GetSid()
		if op.GetKind() == pb.OpKind_OP_KIND_DESTROY {
			sid = via // it means no life, but needs one
		}
		if err := f.refusesLocked(via, sid, op.GetEpoch(), add, len(touched) > 0); err != nil {
			return err
		}
		f.doLocked(op, touched)
	}
	return nil
}

// repeatLocked does the group a second time that waits for it, if it is late by now
// and would undo what others did meanwhile.
func (f *fakeCluster) repeatLocked() {
	if f.again == nil || f.writes < f.againAt {
		return
	}
	for _, op := range f.again {
		if touched := f.touchedLocked(op); len(touched) > 0 {
			f.doLocked(op, touched)
			f.again = nil
		}
	}
}

// touchedLocked is whom op would add or remove.
func (f *fakeCluster) touchedLocked(op *pb.Op) (touched []fakeMember) {
	if op.GetKind() == pb.OpKind_OP_KIND_ADD {
		m := fakeMember{op.GetName(), op.GetUid(), op.GetSid()}
		if _, is := f.members[m]; !is {
			touched = append(touched, m)
		}
		return touched
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
		touched = append(touched, m)
	}
	return touched
}

func (f *fakeCluster) doLocked(op *pb.Op, touched []fakeMember) {
	for _, m := range touched {
		if op.GetKind() == pb.OpKind_OP_KIND_ADD {
			f.members[m] = f.index
		} else {
			f.takeLocked(m)
		}
	}
}

func (s *fakeServer) Apply(_ context.Context, r *pb.ApplyRequest, _ ...grpc.CallOption) (*pb.ApplyResponse, error) {
	out, err := s.cluster.apply(s.sid, r.GetOps())
	return out, s.refuse(err)
}

// alone applies a group of one.
func (s *fakeServer) alone(op *pb.Op) (*pb.WriteResponse, error) {
	out, err := s.cluster.apply(s.sid, []*pb.Op{op})
	return &pb.WriteResponse{Index: out.GetIndex()}, s.refuse(err)
}

func (s *fakeServer) LeaveAll(_ context.Context, r *pb.LeaveAllRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	return s.alone(&pb.Op{Kind: pb.OpKind_OP_KIND_LEAVE_ALL, Uid: r.GetUid(), Sid: r.GetSid(), Epoch: r.GetEpoch()})
}

func (s *fakeServer) Destroy(_ context.Context, r *pb.DestroyRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	return s.alone(&pb.Op{Kind: pb.OpKind_OP_KIND_DESTROY, Name: r.GetName()})
}
