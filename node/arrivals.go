package node

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/delivery"
)

// arrivals takes the pushes of other servers to the frontends here.
type arrivals struct {
	node      *Node
	local     *frontends
	receivers *receivers
}

// accept puts a push into the queue of its channel. It does not block.
func (a *arrivals) accept(in *delivery.Incoming) {
	p := in.Push
	fe := a.local.get(p.GetSid())
	if fe == nil {
		in.Answer(nobodyHere.toWire())
		return
	}
	to := players(inChannels{p.GetChannel()})
	if p.GetAudience() != nil {
		to = audienceFromWire(p.GetAudience())
	}
	c := claim{
		fe: fe, sid: p.GetSid(), epoch: p.GetEpoch(), to: to, index: p.GetIndex(),
		arrived: time.Now(), given: p.GetGiven(), uids: in.UIDs,
	}
	if _, all := baseOf(to).(everybody); all {
		c.uids = nil // nobody could list them
	}
	h := a.receivers.handing(in.Ctx, c, &Delivery{
		Route: p.GetRoute(), Channel: p.GetChannel(), From: in.From, Msg: p.GetMsg(), Node: a.node,
	})
	h.urgent, h.settle = p.GetUrgent(), func(d delivered) { in.Answer(d.toWire()) }
	fe.inbox.submit(h)
}

var nobodyHere = delivered{outcome: NotDelivered, reason: "no such server here"}

// alive says whether a pusher's process is still registered.
func (a *arrivals) alive(sid, incarnation string) (up bool) {
	a.receivers.reader.replica.View(func(s *fsm.State) {
		srv, known := s.Server(sid)
		up = known && srv.Up && srv.Incarnation == incarnation
	})
	return up
}

// deliver hands over a push that came alone, with its uids, and waits for the answer.
func (a *arrivals) deliver(ctx context.Context, sid string, epoch uint64, d *Delivery) delivered {
	fe := a.local.get(sid)
	if fe == nil {
		return nobodyHere
	}
	d.Node = a.node
	c := claim{fe: fe, epoch: epoch}
	return fe.inbox.deliver(&handing{ctx: ctx, d: d, find: func(ctx context.Context) ([]string, *delivered) {
		return d.uids, c.check(ctx)
	}})
}
