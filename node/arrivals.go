package node

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/transport/peerpb"
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
func (a *arrivals) accept(in *delivery.Incoming, r *delivery.Request) {
	fe := a.local.get(r.SID)
	if fe == nil {
		in.Answer(nobodyHere.toWire())
		return
	}
	to, err := audienceOf(r)
	if err != nil {
		in.Answer(delivered{outcome: NotDelivered, reason: "the audience cannot be read"}.toWire())
		return
	}
	n := &arrival{in: in}
	n.claim = claim{
		receivers: a.receivers, fe: fe, sid: r.SID, epoch: r.Epoch, name: r.Channel, to: to, index: r.Index,
		arrived: int64(time.Since(a.receivers.began)), given: r.Given, asked: in,
	}
	n.delivery = Delivery{Route: r.Route, Channel: r.Channel, From: in.From, Msg: r.Msg, Node: a.node}
	if _, all := baseOf(to).(everybody); all {
		n.delivery.Everybody, n.delivery.to, n.asked = true, to, nil // nobody could list them
	}
	n.handing = handing{
		ctx: in.Context(), d: &n.delivery, finder: &n.claim, settler: n, urgent: r.Urgent, full: r.Full, key: r.Key,
	}
	a.local.take(&n.handing, &n.claim, r.ID)
}

// audienceOf is whom a push is for; nil: the members of its channel.
func audienceOf(r *delivery.Request) (players, error) {
	if len(r.Audience) == 0 {
		return nil, nil
	}
	var a peerpb.PushAudience
	if err := proto.Unmarshal(r.Audience, &a); err != nil {
		return nil, err
	}
	return audienceFromWire(&a), nil
}

// take puts a push into the queue, unless it was here before under the same id.
func (f *frontends) take(h *handing, c *claim, id string) {
	if id != "" {
		if h.settler = f.ids.of(c.sid, c.epoch).begin(id, h.settler); h.settler == nil {
			return
		}
	}
	c.fe.inbox.submit(h)
}

var nobodyHere = delivered{outcome: NotDelivered, reason: "no such server here"}

// alive says whether a pusher's process is still registered.
func (a *arrivals) alive(sid, incarnation string) (up bool) {
	a.receivers.reader.replica.Read(func(s fsm.Reads) {
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
