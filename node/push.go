package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// pusher sends a message to the frontends that own a channel's members, each on
// its own, so that a slow or dead one delays nobody else. What it sends names the
// channel, not the members.
type pusher struct {
	node      *Node
	reader    *reader
	local     *frontends
	receivers *receivers
	links     *delivery.Links
	kept      rosters[audienceKey, []fsm.Target]
}

// audienceKey is a channel and the type of its frontends.
type audienceKey struct{ name, stype string }

// pushJob is one push.
type pushJob struct {
	stype, route, channel string
	msg                   []byte
	countsOnly            bool
}

func (p *pusher) push(ctx context.Context, job pushJob) (PushResult, error) {
	var result PushResult
	targets, changed, err := p.targets(ctx, job, &result)
	if err != nil || len(targets) == 0 {
		return result, err
	}
	r := newRound(targets)
	p.send(ctx, job, targets, changed, r)
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abandon(ctx)
	}
	result.Servers = r.reports
	return result, conclude(&result, targets)
}

// targets are who the push goes to, and the index of the last change that matters to them.
func (p *pusher) targets(ctx context.Context, job pushJob, result *PushResult) (targets []fsm.Target, changed uint64, err error) {
	key, fresh := audienceKey{job.channel, job.stype}, false
	var stamp fsm.Stamp
	err = p.reader.view(ctx, nil, func(s *fsm.State) {
		result.Index, changed = s.Index(), s.Changed(job.channel)
		stamp = s.Stamp(job.channel)
		if targets, fresh = p.kept.get(key, stamp); fresh {
			return
		}
		if job.countsOnly {
			targets = s.TargetCounts(job.channel, job.stype)
		} else {
			targets = s.Targets(job.channel, job.stype)
		}
	})
	bytes := 0
	for _, t := range targets {
		result.Members += t.Members
		bytes += 128 + sizeOf(t.UIDs)
	}
	if err == nil && !fresh && !job.countsOnly {
		p.kept.put(key, stamp, targets, bytes)
	}
	return targets, changed, err
}

// send gives each frontend its push.
func (p *pusher) send(ctx context.Context, job pushJob, targets []fsm.Target, changed uint64, r *round) {
	body := delivery.NewBody(job.channel, job.route, job.msg, false)
	deadline, _ := ctx.Deadline()
	for i, t := range targets {
		if p.here(t) {
			r.here = append(r.here, p.handOver(ctx, body, t, changed, func(d delivered) { r.settle(i, d) }))
			continue
		}
		d := &r.pushes[i]
		*d = delivery.Push{
			SID: t.Server.SID, Epoch: t.Server.Epoch, Index: changed, Deadline: deadline, Body: body,
			UIDs:   func() []string { return p.uids(job, t) },
			Settle: func(a delivery.Answer) { r.settle(i, fromWire(a)) },
		}
		p.links.Send(t.Server.Addr, d)
	}
}

// here: this process answers for the server.
func (p *pusher) here(t fsm.Target) bool {
	self := p.node.cfg.SID
	return t.Server.SID == self || t.Server.Via == self
}

// handOver is send within this process. What it returns takes the push back, if it
// waits in a queue.
func (p *pusher) handOver(ctx context.Context, body *delivery.Body, t fsm.Target, changed uint64, settle func(delivered)) (withdraw func()) {
	fe := p.local.get(t.Server.SID)
	if fe == nil {
		settle(nobodyHere)
		return func() {}
	}
	c := claim{fe: fe, sid: t.Server.SID, epoch: t.Server.Epoch, name: body.Channel, index: changed}
	h := &handing{
		ctx:    ctx,
		d:      &Delivery{Route: body.Route, Channel: body.Channel, From: p.node.cfg.SID, Msg: body.Msg, Node: p.node},
		find:   func(ctx context.Context) ([]string, *delivered) { return p.receivers.find(ctx, c) },
		settle: settle,
	}
	fe.inbox.submit(h)
	return func() { fe.inbox.withdraw(h) }
}

// uids are for a frontend whose own replica does not help.
func (p *pusher) uids(job pushJob, t fsm.Target) (uids []string) {
	if len(t.UIDs) == t.Members {
		return t.UIDs
	}
	p.reader.replica.View(func(s *fsm.State) { uids = s.MembersBySID(job.channel, t.Server.SID) })
	return uids
}

// conclude adds up the reports. Its error is ErrPushFailed if nobody was reached.
func conclude(r *PushResult, targets []fsm.Target) error {
	reached := false
	for i, s := range r.Servers {
		if s.Outcome == Delivered {
			reached = true
			r.Failed = append(r.Failed, s.Failed...)
			continue
		}
		r.missed = append(r.missed, targets[i].UIDs)
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
