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

// arrival is a push of another server: all that is needed of it here.
type arrival struct {
	handing
	claim
	delivery Delivery
	in       *delivery.Incoming
}

// settle implements settler.
func (a *arrival) settle(d delivered) { a.in.Answer(d.toWire()) }

// accept puts a push into the queue of its channel. It does not block.
func (a *arrivals) accept(in *delivery.Incoming) {
	p := in.Push
	fe := a.local.get(p.GetSid())
	if fe == nil {
		in.Answer(nobodyHere.toWire())
		return
	}
	var to players
	if p.GetAudience() != nil {
		to = audienceFromWire(p.GetAudience())
	}
	n := &arrival{in: in}
	n.claim = claim{
		receivers: a.receivers, fe: fe, sid: p.GetSid(), epoch: p.GetEpoch(), name: p.GetChannel(), to: to, index: p.GetIndex(),
		arrived: int64(time.Since(a.receivers.began)), given: p.GetGiven(), asked: in,
	}
	n.delivery = Delivery{Route: p.GetRoute(), Channel: p.GetChannel(), From: in.From, Msg: p.GetMsg(), Node: a.node}
	if _, all := baseOf(to).(everybody); all {
		n.delivery.Everybody, n.delivery.to, n.asked = true, to, nil // nobody could list them
	}
	n.handing = handing{
		ctx: in.Context(), d: &n.delivery, finder: &n.claim, settler: n,
		urgent: p.GetUrgent(), full: p.GetFull(), key: p.GetKey(),
	}
	fe.take(&n.handing, p.GetId())
}

// take puts a push into the queue, unless it was here before under the same id.
func (fe *frontend) take(h *handing, id string) {
	if id != "" {
		if h.settler = fe.repeats.begin(id, h.settler); h.settler == nil {
			return
		}
	}
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
	return fe.inbox.deliver(&handing{ctx: ctx, d: d, finder: &alone{claim{fe: fe, epoch: epoch}, d.uids}})
}

// alone has brought its uids.
type alone struct {
	claim
	uids []string
}

// find implements finder.
func (a *alone) find(ctx context.Context) ([]string, bool, *delivered) {
	return a.uids, false, a.check(ctx)
}
