package delivery

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// maxPart is how many bytes of uids an old server gets in one message.
const maxPart = 1 << 20

// isOld says that the other end is from before there were links.
func isOld(err error) bool { return status.Code(err) == codes.Unimplemented }

// maxAlone is how many calls to one old server there are at a time.
const maxAlone = 256

// goAlone sends what waits in calls of its own, one for each push. It runs with mu held.
func (l *link) goAlone() {
	for i := range l.queues {
		q := &l.queues[i]
		for p := q.peek(); p != nil && l.alone < maxAlone; p = q.peek() {
			q.take()
			ctx, quit := context.WithCancel(l.links.ctx)
			p.stage, p.quit = alone, quit
			l.alone++
			l.links.group.Go(func() {
				defer quit()
				l.cameBack(p, l.links.alone(ctx, l.addr, p))
			})
		}
	}
}

func (l *link) cameBack(p *Push, a Answer) {
	l.mu.Lock()
	late := p.stage == settled
	p.stage = settled
	l.alone--
	l.signal()
	l.mu.Unlock()
	if !late {
		p.settle(a)
	}
}

func (ls *Links) alone(ctx context.Context, addr string, p *Push) Answer {
	if !p.Body.Deadline.IsZero() { // the other end learns it from the call
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, p.Body.Deadline)
		defer cancel()
	}
	uids, known := p.Body.Owner.UIDs(p.I)
	if !known {
		return notDelivered("the server is too old for this push")
	}
	client, err := ls.dial(addr)
	if err != nil {
		return notDelivered("unreachable: " + Brief(err))
	}
	calls, err := client.Deliver(ctx)
	if err != nil {
		return notDelivered("unreachable: " + Brief(err)) // no message has left this process
	}
	return converse(calls, &peerpb.DeliverHead{
		Sid: p.SID, Epoch: p.Epoch, Channel: p.Body.Channel, Route: p.Body.Route, Msg: p.Body.Msg, From: ls.sid,
	}, uids)
}

// converse sends the push in parts and reads the answer.
func converse(calls peerpb.Peer_DeliverClient, head *peerpb.DeliverHead, uids []string) Answer {
	for part := range Chunks(uids, maxPart) {
		if err := calls.Send(&peerpb.DeliverRequest{Head: head, Uids: part}); err != nil {
			break // the reason comes with Recv
		}
		head = nil // the first part has it
	}
	_ = calls.CloseSend() // the reason comes with Recv
	var a Answer
	for first := true; ; first = false {
		resp, err := calls.Recv()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return a
		case err != nil:
			return unknown(Brief(err))
		}
		if first {
			a.Outcome, a.Reason = resp.GetOutcome(), resp.GetReason()
		}
		a.Offline = append(a.Offline, resp.GetOffline()...)
	}
}
