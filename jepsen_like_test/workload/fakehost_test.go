package workload_test

import (
	"context"
	"sync"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// overtakes: what a process was called for, and gave no answer to, takes effect behind
// what it was called for later.
const overtakes bug = "a call without an answer is overtaken by later ones"

// fakeHost is a server whose process has callers inside. Now and then one of them gives
// a call up.
type fakeHost struct {
	*fakeServer

	mu     sync.Mutex // guards all below: a process does one after the other
	writes int
	late   []*pb.Op // what overtakes holds back
	until  int
}

func (h *fakeHost) Inside() workload.Process { return h }
func (h *fakeHost) Number() int              { return 1 }
func (h *fakeHost) Alive(note func()) bool   { note(); return true }

func (h *fakeHost) Write(_ context.Context, e history.Event) (index uint64, changed []bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes++
	ops := opsOf(e)
	givenUp := e.F != history.Apply && h.writes%4 == 0
	if givenUp && h.cluster.bug == overtakes && h.late == nil {
		h.late, h.until = ops, h.writes+5
		return 0, nil, node.ErrOutcomeUnknown
	}
	out, err := h.cluster.apply(h.sid, ops)
	if h.late != nil && h.writes >= h.until {
		_, _ = h.cluster.apply(h.sid, h.late)
		h.late = nil
	}
	if givenUp {
		return 0, nil, node.ErrOutcomeUnknown
	}
	return out.GetIndex(), out.GetChanged(), h.refuse(err)
}

func opsOf(e history.Event) (ops []*pb.Op) {
	group := e.Group
	if e.F != history.Apply {
		group = []history.Write{{F: e.F, Channel: e.Channel, UID: e.UID, SID: e.SID, Epoch: e.Epoch}}
	}
	kinds := map[history.F]pb.OpKind{
		history.Add: pb.OpKind_OP_KIND_ADD, history.Leave: pb.OpKind_OP_KIND_LEAVE,
		history.LeaveAll: pb.OpKind_OP_KIND_LEAVE_ALL, history.Destroy: pb.OpKind_OP_KIND_DESTROY,
	}
	for _, w := range group {
		ops = append(ops, &pb.Op{Kind: kinds[w.F], Name: w.Channel, Uid: w.UID, Sid: w.SID, Epoch: w.Epoch})
	}
	return ops
}

// The order of calls inside a process is asked for, also of those without an answer, and
// not of those of clients.
func TestLinear_CallersInsideAProcess(t *testing.T) {
	host := func(s *fakeServer) workload.Server { return &fakeHost{fakeServer: s} }
	if r := runLinearOn(t, noBug, 4, false, host); len(r.Violations) > 0 || r.Unknown < 20 {
		t.Errorf("nothing is wrong: %v", r)
	}
	found(t, runLinearOn(t, overtakes, 4, false, host), checker.NotLinearizable)
}
