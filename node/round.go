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
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// round is one push on its way to all its frontends. It satisfies delivery.Owner.
type round struct {
	pusher *pusher
	job    pushJob
	aim    aim
	began  time.Time
	pushes []delivery.Push // beside reports; those to frontends here stay empty
	here   []*landing      // those
	done   chan struct{}   // closed when all are settled

	mu      sync.Mutex // guards all below
	reports []ServerReport
	left    int
}

func newRound(p *pusher, job pushJob, at aim) *round {
	n := len(at.targets)
	r := &round{
		pusher: p, job: job, aim: at, began: time.Now(), pushes: make([]delivery.Push, n), done: make(chan struct{}),
		reports: make([]ServerReport, n), left: n,
	}
	for i, t := range at.targets {
		r.reports[i] = ServerReport{SID: t.Server.SID, Members: t.Members}
	}
	return r
}

// send gives each frontend its push. Where the queue is full, and the push may wait, it
// waits for room, after all others have theirs.
func (r *round) send(ctx, call context.Context) error {
	var audience []byte
	if r.aim.audience != nil {
		var err error
		if audience, err = proto.Marshal(r.aim.audience); err != nil {
			return fmt.Errorf("encode the audience: %w", err)
		}
	}
	body := delivery.NewBody(delivery.Content{
		Channel: r.job.lane(), Route: r.job.route, Msg: r.job.msg, Audience: audience,
		Urgent: r.job.Priority == PrioritySystem, Full: peerpb.PushFull(r.job.OnFull), Key: r.job.Key, ID: r.job.ID,
	})
	body.Index, body.Given, body.Owner = r.aim.changed, r.aim.given, r
	body.Deadline, _ = ctx.Deadline()
	var waiting []int
	for i, t := range r.aim.targets {
		if why, missed := r.aim.missed[t.Server.SID]; missed {
			r.note(i, delivered{outcome: NotDelivered, reason: why})
			continue
		}
		if r.pusher.here(t) {
			r.land(ctx, i, body)
			continue
		}
		p := &r.pushes[i]
		*p = delivery.Push{SID: t.Server.SID, Epoch: t.Server.Epoch, Body: body, I: i}
		if r.pusher.links.Send(t.Server.Addr, p) != nil {
			waiting = append(waiting, i)
		}
	}
	var wg sync.WaitGroup
	for _, i := range waiting {
		wg.Go(func() { r.sendWhenRoom(ctx, call, i) })
	}
	wg.Wait()
	return nil
}

// sendWhenRoom waits for a place in a full queue, while the push has time and its call goes on.
func (r *round) sendWhenRoom(ctx, call context.Context, i int) {
	for {
		wait := r.pusher.links.Send(r.aim.targets[i].Server.Addr, &r.pushes[i])
		if wait == nil {
			return
		}
		select {
		case <-wait:
		case <-ctx.Done():
		case <-call.Done():
		}
		if ctx.Err() != nil || call.Err() != nil {
			r.note(i, delivered{outcome: NotDelivered, reason: "not sent: " + delivery.QueueFull})
			return
		}
	}
}

// landing is a push within this process.
type landing struct {
	handing
	claim
	delivery Delivery
	round    *round
	i        int
}

// land is send to a frontend here.
func (r *round) land(ctx context.Context, i int, body *delivery.Body) {
	t := r.aim.targets[i]
	fe := r.pusher.local.get(t.Server.SID)
	if fe == nil {
		r.note(i, nobodyHere)
		return
	}
	l := &landing{round: r, i: i}
	l.claim = claim{
		receivers: r.pusher.receivers, fe: fe, sid: t.Server.SID, epoch: t.Server.Epoch, name: body.Channel, to: beyond(r.job.to),
		index: r.aim.changed, given: r.aim.given,
	}
	if r.aim.given {
		l.asked = l
	}
	node := r.pusher.node
	l.delivery = Delivery{Route: body.Route, Channel: body.Channel, From: node.cfg.SID, Msg: body.Msg, Node: node}
	if _, all := baseOf(r.job.to).(everybody); all {
		l.delivery.Everybody, l.delivery.to = true, r.job.to
	}
	l.handing = handing{
		ctx: ctx, d: &l.delivery, finder: &l.claim, settler: l, urgent: body.Urgent, full: body.Full, key: body.Key,
	}
	r.here = append(r.here, l)
	r.pusher.local.take(&l.handing, &l.claim, body.ID)
}

// settle implements settler.
func (l *landing) settle(d delivered) { l.round.note(l.i, d) }

// UIDs implements asked.
func (l *landing) UIDs() <-chan []string {
	uids := make(chan []string, 1)
	uids <- l.round.aim.targets[l.i].UIDs
	return uids
}

// Settle implements delivery.Owner.
func (r *round) Settle(i int, a delivery.Answer) { r.note(i, fromWire(a)) }

// UIDs implements delivery.Owner, for a frontend whose own replica does not help.
func (r *round) UIDs(i int) (uids []string, known bool) {
	if _, all := baseOf(r.job.to).(everybody); all {
		return nil, false
	}
	t := r.aim.targets[i]
	if len(t.UIDs) == t.Members {
		return t.UIDs, true
	}
	var list fsm.List
	r.pusher.aims.reader.replica.Read(func(s fsm.Reads) { list = s.MembersBySID(r.job.lane(), t.Server.SID) })
	return list.UIDs(), true
}

// note is told what became of a push, if that is not known yet.
func (r *round) note(i int, d delivered) {
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

// finish returns when all are settled, as they are when ctx has ended.
func (r *round) finish(ctx context.Context) []ServerReport {
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abandon(ctx)
	}
	r.prune()
	r.pusher.node.meters.pushed(r.reports)
	return r.reports
}

// soFar are the reports of a push that nobody waits for.
func (r *round) soFar() []ServerReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	reports := slices.Clone(r.reports)
	for i := range reports {
		if reports[i].Outcome == 0 {
			reports[i].Outcome, reports[i].Reason = Unknown, "not waited for"
		}
	}
	return reports
}

// maxPruned is how many players one push removes: what is left it finds offline again.
const maxPruned = 1024

// prune removes players who were reported offline, unless they were added after the
// pusher had looked. Nobody waits for that: a push needs no leader.
func (r *round) prune() {
	node := r.pusher.node
	if !r.job.PruneOffline || node.replica.Level() < parkingLevel {
		return
	}
	left := maxPruned
	for i, report := range r.reports {
		for _, uid := range report.Failed {
			if left--; left < 0 {
				return
			}
			op := fsm.Op{Kind: fsmpb.OpKind_OP_PRUNE, UID: uid, SID: report.SID, Epoch: r.aim.targets[i].Server.Epoch}
			if _, err := node.outbox.begin(r.aim.index, op); err != nil {
				return // closing, or too much waits already: the next push finds them offline again
			}
		}
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
	for _, l := range r.here {
		l.fe.inbox.withdraw(&l.handing)
	}
	for _, l := range r.here { // what is left has a handler
		l.settle(delivered{outcome: Unknown, reason: stillHandled})
	}
	<-r.done
}
