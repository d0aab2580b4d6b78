package workload_test

import (
	"context"
	"fmt"
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

	goesBack      bug = "default reads of a server go back, and say so"
	mixesReads    bug = "reads that may be stale show some members of a while ago beside those of now"
	ignoresIndex  bug = "reads with an index show the state of a while ago"
	localReads    bug = "linearizable reads show the state of a while ago"
	forgetsAge    bug = "reads that bound their age show the state of a while ago"
	showsParked   bug = "members of a life that is over are shown"
	keepsRemoved  bug = "who was removed when the life was over is back with the next"
	losesParked   bug = "a resumed life lacks a member"
	addsToDead    bug = "an add for a life that is over waits for the next life of the process"
	writesFenced  bug = "what a server wrote whose life is over takes effect when it was refused"
	resumesInHalf bug = "a resumed life has its members one after another"
)

// fakeCluster does what the product promises, except for its bug. One lock and
// one map: nothing here resembles the product.
type fakeCluster struct {
	bug bug

	mu      sync.Mutex // guards all below
	index   uint64
	writes  int
	armed   bool                  // the bug acts at its next occasion
	bitten  int                   // how often a bug of lives made a difference
	epochs  map[string]uint64     // of the last life of each
	first   map[string]uint64     // of the row of lives of its process
	over    map[string]bool       // the last life is; its members are parked
	removed map[fakeMember]bool   // while parked, for keepsRemoved
	half    string                // the sid whose members are not all back, for resumesInHalf
	members map[fakeMember]uint64 // to the index of their add
	old     map[fakeMember]uint64 // a while ago
	oldAt   uint64
	again   []*pb.Op // for appliesTwice, from the write of this number on
	againAt int
}

type fakeMember struct{ name, uid, sid string }

func newFakeCluster(b bug, sids []string) *fakeCluster {
	f := &fakeCluster{
		bug: b, epochs: make(map[string]uint64), first: make(map[string]uint64), over: make(map[string]bool),
		removed: make(map[fakeMember]bool), members: make(map[fakeMember]uint64),
	}
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
		if m.sid == sid && !f.bitesLocked(keepsOldLife) || f.bug == purgesOthers {
			delete(f.members, m)
		}
	}
	f.epochs[sid], f.first[sid], f.over[sid] = f.index, f.index, false
	return f.index
}

// endLife parks the members of a sid.
func (f *fakeCluster) endLife(sid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	f.over[sid] = true
}

// resumeLife is the next life of the same process.
func (f *fakeCluster) resumeLife(sid string) (epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	f.epochs[sid], f.over[sid] = f.index, false
	for m := range f.removed {
		if m.sid == sid && f.bitesLocked(keepsRemoved) {
			f.members[m] = f.index
		}
	}
	clear(f.removed)
	for m := range f.members {
		if m.sid == sid && f.bitesLocked(losesParked) {
			delete(f.members, m)
		}
	}
	if f.bug == resumesInHalf {
		f.half = sid
	}
	return f.index
}

// refusesLocked says that a write of via, or for the life of sid that is meant, comes
// too late. epoch 0 is what via knows.
func (f *fakeCluster) refusesLocked(via, sid string, epoch uint64, add, was bool) error {
	means := epoch == 0 || epoch >= f.first[sid] || f.bitesLocked(noEpochCheck)
	switch {
	case f.over[via]:
		return status.Error(codes.Aborted, "fenced")
	case add && f.over[sid] && !f.bitesLocked(addsToDead), add && !means, !add && !means && was:
		return status.Error(codes.FailedPrecondition, "server gone")
	}
	return nil
}

func (f *fakeCluster) write(via, name, uid, sid string, epoch uint64, add bool) (*pb.WriteResponse, error) {
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
	if err := f.refusesLocked(via, sid, epoch, add, was); err != nil {
		if add && !was && f.over[via] && !f.over[sid] && f.bitesLocked(writesFenced) {
			f.members[m] = f.index
		}
		return nil, err
	}
	switch {
	case add && !was && f.strikesLocked(dropsAdds):
	case add:
		f.members[m] = f.index
	case was && f.strikesLocked(ignoresLeaves):
	default:
		f.takeLocked(m)
	}
	return &pb.WriteResponse{Index: f.index}, nil
}

// takeLocked takes somebody out who is there.
func (f *fakeCluster) takeLocked(m fakeMember) {
	if _, was := f.members[m]; was && f.over[m.sid] {
		f.removed[m] = true
	}
	delete(f.members, m)
}

// beginLocked counts a write, arms the bug now and then, and keeps an old state.
func (f *fakeCluster) beginLocked() {
	if f.writes++; f.writes%100 == 0 {
		f.old, f.oldAt = maps.Clone(f.members), f.index
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

// bitesLocked says whether the cluster has that bug, and counts it.
func (f *fakeCluster) bitesLocked(b bug) bool {
	if f.bug == b {
		f.bitten++
	}
	return f.bug == b
}

// idle says that the cluster has a bug that has not made a difference yet, though
// lives have ended.
func (f *fakeCluster) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.bug {
	case keepsOldLife, keepsRemoved, losesParked, noEpochCheck, addsToDead, writesFenced, resumesInHalf:
		return f.bitten < 3
	case showsParked: // most of these reads may have begun before the end, or ended after the resumption
		return f.bitten < 60
	}
	return false
}

// belated says whether the bug makes a read show the state of a while ago.
func (f *fakeCluster) belated(r *pb.MembersRequest) bool {
	byDefault := r.GetMinIndex() == 0 && !r.GetStale() && !r.GetLinearizable() && r.GetMaxStalenessMs() == 0
	switch f.bug {
	case staleReads:
		return true
	case lagsBehind:
		return !r.GetLinearizable()
	case goesBack:
		return byDefault && f.writes%2 == 0
	case ignoresIndex:
		return r.GetMinIndex() > 0
	case localReads:
		return r.GetLinearizable()
	case forgetsAge:
		return r.GetMaxStalenessMs() > 0
	}
	return false
}

func (f *fakeCluster) list(r *pb.MembersRequest) *pb.MembersResponse {
	f.mu.Lock()
	defer f.mu.Unlock()
	out, from := &pb.MembersResponse{Index: f.index}, f.members
	if f.belated(r) && f.old != nil {
		from = f.old // and it claims to be fresh
		if f.bug == goesBack {
			out.Index = f.oldAt
		}
	}
	if f.bug == mixesReads && r.GetStale() && f.old != nil {
		from = make(map[fakeMember]uint64)
		for _, half := range []map[fakeMember]uint64{f.old, f.members} {
			for m := range half {
				if _, both := f.old[m]; both == (len(m.uid)%2 == 0) {
					from[m] = 0
				}
			}
		}
	}
	for m := range from {
		if m.name != r.GetName() || (r.GetSid() != "" && r.GetSid() != m.sid) || f.over[m.sid] && !f.bitesLocked(showsParked) {
			continue
		}
		if f.half == m.sid && len(out.Members) > 0 && f.bitesLocked(resumesInHalf) {
			f.half = ""
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
	w, err := s.cluster.write(s.sid, r.GetName(), r.GetUid(), r.GetSid(), r.GetEpoch(), true)
	return w, s.refuse(err)
}

func (s *fakeServer) Leave(_ context.Context, r *pb.LeaveRequest, _ ...grpc.CallOption) (*pb.WriteResponse, error) {
	w, err := s.cluster.write(s.sid, r.GetName(), r.GetUid(), r.GetSid(), r.GetEpoch(), false)
	return w, s.refuse(err)
}

func (s *fakeServer) Servers(context.Context, *pb.ServersRequest, ...grpc.CallOption) (*pb.ServersResponse, error) {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	out := &pb.ServersResponse{Index: s.cluster.index}
	for sid, epoch := range s.cluster.epochs {
		if s.cluster.over[sid] {
			continue
		}
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

// resumedNote is what a process says whose life was over and is resumed.
func resumedNote(sid string, old, next uint64) history.Event {
	return history.Event{F: history.Resumed, SID: sid, Epoch: old, Next: next, Incarnation: fmt.Sprint(sid, " from ", old)}
}
