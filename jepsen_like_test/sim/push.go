package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
)

var (
	_ workload.Pusher      = (*Server)(nil)
	_ workload.PushProcess = (*process)(nil)
)

// Pushes implements trial.Cluster: all servers are frontends, and callers are inside.
func (c *Cluster) Pushes() (p workload.Pushes) {
	p.Targets = c.everybody()
	for _, sid := range p.Targets {
		p.Pushers = append(p.Pushers, c.servers[sid])
	}
	return p
}

// Process implements workload.Pusher.
func (s *Server) Process(ctx context.Context) workload.PushProcess {
	if p := s.process(ctx); p != nil {
		return p
	}
	return nil
}

// HangUp implements workload.Pusher: there is no connection.
func (s *Server) HangUp() {}

// Lives implements workload.PushProcess.
func (p *process) Lives(context.Context) map[string]uint64 {
	lives := make(map[string]uint64)
	for _, s := range p.node.Servers() {
		lives[s.SID] = s.Epoch
	}
	return lives
}

// Push implements workload.PushProcess. The node's life is longer than that of the load,
// and it has its own time.
func (p *process) Push(_ context.Context, m workload.Message) (history.Type, workload.PushReport, error) {
	o := node.PushOptions{Timeout: m.Timeout, NoWait: m.NoWait}
	if m.Urgent {
		o.Priority = node.PrioritySystem
	}
	r, err := p.node.PushMessage(context.Background(), workload.SType, "route", m.Bytes, m.Channel, o)
	if err != nil && !errors.Is(err, node.ErrPushFailed) {
		return history.Fail, workload.PushReport{}, err
	}
	report := workload.PushReport{Undelivered: slices.Collect(r.Undelivered())}
	for _, s := range r.Servers {
		report.Answers = append(report.Answers, history.Answer{SID: s.SID, Outcome: outcomes[s.Outcome], Offline: s.Failed, Text: s.Reason})
	}
	return history.OK, report, nil
}

var outcomes = map[node.Outcome]history.Outcome{
	node.Delivered: history.Delivered, node.NotDelivered: history.NotDelivered, node.Unknown: history.Uncertain,
}

// handle is the push handler of a frontend.
func (p *process) handle(ctx context.Context, d *node.Delivery) (offline []string) {
	offline, after := p.handler.Handle(d.Channel, d.From, d.Msg, slices.Collect(d.UIDs()))
	pause(ctx, after)
	return offline
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
