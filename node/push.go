package node

import (
	"context"
	"fmt"
	"slices"
	"sync"

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

	later  sync.WaitGroup // pushes that nobody waits for
	mu     sync.Mutex     // guards closed
	closed bool           // and no other one begins
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

// push waits until all frontends have answered, or ctx ends.
func (p *pusher) push(ctx context.Context, job pushJob) (PushResult, error) {
	result, r, err := p.send(ctx, ctx, job)
	if r == nil {
		return result, err
	}
	result.Servers = r.finish(ctx)
	return result, conclude(&result, job, r.aim.targets)
}

// begin is push for a call that does not wait for the answers: rest has to be finished, if it is not nil.
func (p *pusher) begin(ctx, call context.Context, job pushJob) (result PushResult, rest *round, err error) {
	result, rest, err = p.send(ctx, call, job)
	if rest == nil {
		return result, nil, err
	}
	result.Servers = rest.soFar()
	return result, rest, conclude(&result, job, rest.aim.targets)
}

// send gives the frontends their pushes; nil: there is nobody. It may wait for room as
// long as the call goes on.
func (p *pusher) send(ctx, call context.Context, job pushJob) (result PushResult, r *round, err error) {
	at, err := p.aims.take(ctx, job)
	result.Index = at.index
	if err != nil || len(at.targets) == 0 {
		return result, nil, err
	}
	for _, t := range at.targets {
		result.Members += t.Members
	}
	r = newRound(p, job, at)
	if err := r.send(ctx, call); err != nil {
		return result, nil, err
	}
	return result, r, nil
}

// leave finishes a push that nobody waits for.
func (p *pusher) leave(finish func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		finish() // at once, since the node's context has ended
		return
	}
	p.later.Go(finish)
}

// close settles what is under way. It runs after the end of the node's context.
func (p *pusher) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.links.Close()
	p.later.Wait()
}

// here: this process answers for the server.
func (p *pusher) here(t fsm.Target) bool {
	self := p.node.cfg.SID
	return t.Server.SID == self || t.Server.Via == self
}

// conclude adds up the reports. Its error is ErrPushFailed if nobody was reached.
func conclude(r *PushResult, job pushJob, targets []fsm.Target) error {
	reached := job.NoWait && slices.ContainsFunc(r.Servers, func(s ServerReport) bool { return s.Outcome == Unknown })
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
