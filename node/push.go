package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// pusher sends a message to the frontends of its receivers, each on its own, so that
// a slow or dead one delays nobody else. What it sends names channels, not members.
type pusher struct {
	node      *Node
	aims      *aims
	local     *frontends
	receivers *receivers
	links     *delivery.Links
}

// pushJob is one push.
type pushJob struct {
	stype, route string
	msg          []byte
	to           players
	PushOptions
}

// lane is the channel in whose order the push goes.
func (j pushJob) lane() string { return laneOf(j.to) }

func (p *pusher) push(ctx context.Context, job pushJob) (PushResult, error) {
	at, err := p.aims.take(ctx, job)
	result := PushResult{Index: at.index}
	if err != nil || len(at.targets) == 0 {
		return result, err
	}
	for _, t := range at.targets {
		result.Members += t.Members
	}
	r := newRound(at.targets)
	if err := p.send(ctx, job, at, r); err != nil {
		return result, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abandon(ctx)
	}
	result.Servers = r.reports
	return result, conclude(&result, job, at.targets)
}

// send gives each frontend its push.
func (p *pusher) send(ctx context.Context, job pushJob, at aim, r *round) error {
	var audience []byte
	if at.audience != nil {
		var err error
		if audience, err = proto.Marshal(at.audience); err != nil {
			return fmt.Errorf("encode the audience: %w", err)
		}
	}
	body := delivery.NewBody(job.lane(), job.route, job.msg, audience, job.Priority == PrioritySystem)
	deadline, _ := ctx.Deadline()
	for i, t := range at.targets {
		if p.here(t) {
			r.here = append(r.here, p.handOver(ctx, job, body, at, t, func(d delivered) { r.settle(i, d) }))
			continue
		}
		d := &r.pushes[i]
		*d = delivery.Push{
			SID: t.Server.SID, Epoch: t.Server.Epoch, Index: at.changed, Deadline: deadline, Body: body, Given: at.given,
			UIDs:   func() []string { return p.uids(job, t) },
			Settle: func(a delivery.Answer) { r.settle(i, fromWire(a)) },
		}
		if _, all := baseOf(job.to).(everybody); all {
			d.UIDs = nil
		}
		p.links.Send(t.Server.Addr, d)
	}
	return nil
}

// here: this process answers for the server.
func (p *pusher) here(t fsm.Target) bool {
	self := p.node.cfg.SID
	return t.Server.SID == self || t.Server.Via == self
}

// handOver is send within this process. What it returns takes the push back, if it
// waits in a queue.
func (p *pusher) handOver(ctx context.Context, job pushJob, body *delivery.Body, at aim, t fsm.Target, settle func(delivered)) (withdraw func()) {
	fe := p.local.get(t.Server.SID)
	if fe == nil {
		settle(nobodyHere)
		return func() {}
	}
	c := claim{fe: fe, sid: t.Server.SID, epoch: t.Server.Epoch, to: job.to, index: at.changed}
	if at.given {
		c.given, c.uids = true, func() <-chan []string {
			uids := make(chan []string, 1)
			uids <- t.UIDs
			return uids
		}
	}
	h := p.receivers.handing(ctx, c, &Delivery{Route: body.Route, Channel: body.Channel, From: p.node.cfg.SID, Msg: body.Msg, Node: p.node})
	h.urgent, h.settle = body.Urgent, settle
	fe.inbox.submit(h)
	return func() { fe.inbox.withdraw(h) }
}

// uids are for a frontend whose own replica does not help.
func (p *pusher) uids(job pushJob, t fsm.Target) (uids []string) {
	if len(t.UIDs) == t.Members {
		return t.UIDs
	}
	p.aims.reader.replica.View(func(s *fsm.State) { uids = s.MembersBySID(job.lane(), t.Server.SID) })
	return uids
}

// conclude adds up the reports. Its error is ErrPushFailed if nobody was reached.
func conclude(r *PushResult, job pushJob, targets []fsm.Target) error {
	reached := false
	for i, s := range r.Servers {
		if s.Outcome == Delivered {
			reached = true
			r.Failed = append(r.Failed, s.Failed...)
			continue
		}
		if !job.CountsOnly {
			r.missed = append(r.missed, targets[i].UIDs)
		}
	}
	slices.Sort(r.Failed)
	r.Failed = slices.Compact(r.Failed)
	if !reached {
		return fmt.Errorf("%w: %d members on %d servers", ErrPushFailed, r.Members, len(targets))
	}
	return nil
}

// round is one push on its way to all its frontends.
type round struct {
	began  time.Time
	pushes []delivery.Push // beside reports; those to frontends here stay empty
	here   []func()        // withdraw those
	done   chan struct{}   // closed when all are settled

	mu      sync.Mutex // guards all below
	reports []ServerReport
	left    int
}

func newRound(targets []fsm.Target) *round {
	r := &round{
		began: time.Now(), pushes: make([]delivery.Push, len(targets)), done: make(chan struct{}),
		reports: make([]ServerReport, len(targets)), left: len(targets),
	}
	for i, t := range targets {
		r.reports[i] = ServerReport{SID: t.Server.SID, Members: t.Members}
	}
	return r
}

// settle notes what became of a push, if that is not known yet.
func (r *round) settle(i int, d delivered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := &r.reports[i]
	if report.Outcome != 0 {
		return
	}
	report.Outcome, report.Reason, report.Failed, report.Latency = d.outcome, d.reason, d.offline, time.Since(r.began)
	if r.left--; r.left == 0 {
		close(r.done)
	}
}

// abandon settles what is left when ctx has ended.
func (r *round) abandon(ctx context.Context) {
	late := errors.Is(context.Cause(ctx), context.DeadlineExceeded)
	reason := "cancelled"
	if late {
		reason = "timeout"
	}
	for i := range r.pushes {
		if p := &r.pushes[i]; p.Body != nil {
			p.Abandon(reason, !late)
		}
	}
	for _, withdraw := range r.here {
		withdraw()
	}
	for i := range r.pushes { // what is left has a handler here
		r.settle(i, delivered{outcome: Unknown, reason: stillHandled})
	}
	<-r.done
}

func (d delivered) toWire() delivery.Answer {
	return delivery.Answer{Outcome: outcomeToPeer(d.outcome), Reason: d.reason, Offline: d.offline}
}

func fromWire(a delivery.Answer) delivered {
	return delivered{outcome: outcomeFromPeer(a.Outcome), reason: sendable(a.Reason), offline: a.Offline}
}

func outcomeFromPeer(o peerpb.DeliverOutcome) Outcome {
	switch o {
	case peerpb.DeliverOutcome_DELIVER_DELIVERED:
		return Delivered
	case peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED:
		return NotDelivered
	}
	return Unknown
}

func outcomeToPeer(o Outcome) peerpb.DeliverOutcome {
	switch o {
	case Delivered:
		return peerpb.DeliverOutcome_DELIVER_DELIVERED
	case NotDelivered:
		return peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED
	}
	return peerpb.DeliverOutcome_DELIVER_UNKNOWN
}
