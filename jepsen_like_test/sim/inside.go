package sim

import (
	"context"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
)

var (
	_ workload.Embedding = (*Server)(nil)
	_ workload.Process   = (*process)(nil)
)

// Inside implements workload.Embedding.
func (s *Server) Inside() workload.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return nil
	}
	return s.now
}

// Number implements workload.Process.
func (p *process) Number() int { return p.start }

// Write implements workload.Process. The plain calls name no life.
func (p *process) Write(ctx context.Context, e history.Event) (index uint64, changed []bool, err error) {
	switch {
	case e.F == history.Apply:
		a, err := p.node.Apply(ctx, operations(e.Group)...)
		return a.Index, a.Changed, err
	case e.F == history.Destroy:
		return 0, nil, p.node.DestroyChannel(ctx, e.Channel)
	case e.Epoch != 0:
		a, err := p.node.Apply(ctx, operations([]history.Write{{F: e.F, Channel: e.Channel, UID: e.UID, SID: e.SID, Epoch: e.Epoch}})...)
		return a.Index, nil, err
	case e.F == history.Add:
		return 0, nil, p.node.Add(ctx, e.Channel, e.UID, e.SID)
	case e.F == history.Leave:
		return 0, nil, p.node.Leave(ctx, e.Channel, e.UID, e.SID)
	}
	return 0, nil, p.node.LeaveAll(ctx, e.UID, e.SID)
}

var kinds = map[history.F]node.OpKind{
	history.Add: node.OpAdd, history.Leave: node.OpLeave, history.LeaveAll: node.OpLeaveAll, history.Destroy: node.OpDestroy,
}

func operations(group []history.Write) (ops []node.Op) {
	for _, w := range group {
		ops = append(ops, node.Op{Kind: kinds[w.F], Name: w.Channel, UID: w.UID, SID: w.SID, Epoch: w.Epoch})
	}
	return ops
}
