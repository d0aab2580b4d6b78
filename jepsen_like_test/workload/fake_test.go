package workload_test

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// bug is what a fake cluster does wrong.
type bug string

const (
	noBug          bug = ""
	dropsAdds      bug = "some acknowledged adds are lost"
	ignoresLeaves  bug = "some acknowledged leaves are lost"
	listsTwice     bug = "a listing shows somebody twice"
	keepsOldLife   bug = "a new life inherits the members of the old one"
	noEpochCheck   bug = "adds for an ended life are taken by the new one"
	purgesOthers   bug = "the end of a life takes members of other servers too"
	staleReads     bug = "reads show the state of a while ago"
	answersTooSoon bug = "acknowledged before commit: the last writes go with the leader"
	refusesInVain  bug = "a refused add took effect"

	lagsBehind     bug = "reads that did not ask for more show the state of a while ago" // which is none, until it is sold as something else
	appliesTwice   bug = "a write that was sent again took effect again, late"
	forgetsResults bug = "a write that was sent again is told what the repetition did"
	tearsGroups    bug = "some groups take effect in part"
)

// fakeCluster does what the product promises, except for its bug. One lock and
// one map: nothing here resembles the product.
type fakeCluster struct {
	bug bug

	mu      sync.Mutex // guards all below
	index   uint64
	writes  int
	armed   bool // the bug acts at its next occasion
	epochs  map[string]uint64
	members map[fakeMember]uint64 // to the index of their add
	old     map[fakeMember]uint64 // for staleReads and lagsBehind
	again   []*pb.Op              // for appliesTwice, from the write of this number on
	againAt int
}

type fakeMember struct{ name, uid, sid string }

func newFakeCluster(b bug, sids []string) *fakeCluster {
	f := &fakeCluster{bug: b, epochs: make(map[string]uint64), members: make(map[fakeMember]uint64)}
	for _, sid := range sids {
		f.newLife(sid)
	}
	return f
}

// newLife registers a sid and returns the epoch, which is its index.
func (f *fakeCluster) newLife(sid string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bug == answersTooSoon {
		for m, index := range f.members {
			if index+20 > f.index { // enough that one of them is an add on another server
				delete(f.members, m)
			}
		}
	}
	f.index++
	for m := range f.members {
		if (m.sid == sid && f.bug != keepsOldLife) || f.bug == purgesOthers {
			delete(f.members, m)
		}
	}
	f.epochs[sid] = f.index
	return f.index
}

func (f *fakeCluster) write(name, uid, sid string, epoch uint64, add bool) (*pb.WriteResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := fakeMember{name, uid, sid}
	f.beginLocked()
	_, was := f.members[m]
	if add && !was && f.strikesLocked(refusesInVain) {
		f.members[m] = f.index
		return nil, status.Error(codes.Unavailable, "refused")
	}
	f.index++
	switch {
	case add && epoch != 0 && epoch != f.epochs[sid] && f.bug != noEpochCheck:
		return nil, status.Error(codes.FailedPrecondition, "server gone")
	case add && !was && f.strikesLocked(dropsAdds):
	case add:
		f.members[m] = f.index
	case was && f.strikesLocked(ignoresLeaves):
	default:
		delete(f.members, m)
	}
	return &pb.WriteResponse{Index: f.index}, nil
}

// beginLocked counts a write, arms the bug now and then, and keeps an old state.
func (f *fakeCluster) beginLocked() {
	if f.writes++; f.writes%100 == 0 {
		f.old = maps.Clone(f.members)
	}
	if f.writes%10 == 0 {
		f.armed = true
	}
}

// strikesLocked says whether the cluster does b wrong now. The caller asks only
// where that would change what somebody may see: an add of a member who is there
// can be lost without anybody being able to tell, and a run of such losses is no
// test of a checker.
func (f *fakeCluster) strikesLocked(b bug) bool {
	if f.bug != b || !f.armed {
		return false
	}
	f.armed = false
	return true
}

func (f *fakeCluster) list(r *pb.MembersRequest) *pb.MembersResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, from := &pb.MembersResponse{Index: f.index}, f.members
	if (f.bug == staleReads || f.bug == lagsBehind && !r.GetLinearizable()) && f.old != nil {
		from = f.old // and it claims to be fresh
	}
	for m := range from {
		if m.name != r.GetName() || (r.GetSid() != "" && r.GetSid() != m.sid) {
			continue
		}
		out.Members = append(out.Members, &pb.Member{Uid: m.uid, Sid: m.sid})
		if f.bug == listsTwice && len(out.Members) == 1 {
			out.Members = append(out.Members, out.Members[0])
		}
	}
	return out
}

// fakeServer is one server of it.
type fakeServer struct {
	pb.GlobalChannelClient
	cluster *fakeCluster
	sid     string
	refuse  func(error) error // gives a refusal its class
}

func (s *fakeServer) ID() string                              { return s.sid }
func (s *fakeServer) Client() (pb.GlobalChannelClient, error) { return s, nil }
func (s *fakeServer) Connect(context.Context) error           { return nil }

func (s *fakeServer) Add(_ context.Context, r *pb.AddRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	w, err := s.cluster.write(r.GetName(), r.GetUid(), r.GetSid(), r.GetEpoch(), true)
	return w, s.refuse(err)
}

func (s *fakeServer) Leave(_ context.Context, r *pb.LeaveRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	w, err := s.cluster.write(r.GetName(), r.GetUid(), r.GetSid(), r.GetEpoch(), false)
	return w, s.refuse(err)
}

func (s *fakeServer) Servers(context.Context, *pb.ServersRequest, ...grpc.CallOption) (*pb.ServersResponse, error) {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	out := &pb.ServersResponse{Index: s.cluster.index}
	for sid, epoch := range s.cluster.epochs {
		out.Servers = append(out.Servers, &pb.Server{Sid: sid, Epoch: epoch})
	}
	return out, nil
}

func (s *fakeServer) Members(_ context.Context, r *pb.MembersRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.MembersResponse], error) {
	all := s.cluster.list(r)
	// In two chunks, as a large channel comes.
	half := len(all.Members) / 2
	first := &pb.MembersResponse{Index: all.Index, Members: all.Members[:half]}
	second := &pb.MembersResponse{Index: all.Index, Members: all.Members[half:]}
	return &fakeStream{chunks: []*pb.MembersResponse{first, second}}, nil
}

type fakeStream struct {
	grpc.ServerStreamingClient[pb.MembersResponse]
	chunks []*pb.MembersResponse
}

func (s *fakeStream) Recv() (*pb.MembersResponse, error) {
	if len(s.chunks) == 0 {
		return nil, io.EOF
	}
	next := s.chunks[0]
	s.chunks = slices.Delete(s.chunks, 0, 1)
	return next, nil
}

// lifeNote is what the harness writes of a life it has seen.
func lifeNote(sid string, epoch uint64) history.Event {
	return history.Event{F: history.Life, SID: sid, SType: "connector", Epoch: epoch, Index: epoch}
}
