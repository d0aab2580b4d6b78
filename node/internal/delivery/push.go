package delivery

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Push is one push on its way to one frontend.
type Push struct {
	SID   string
	Epoch uint64 // the life that is meant
	Body  *Body
	I     int // the owner's number for it

	// Guarded by link.mu, once the push is sent.
	link    *link
	number  uint64
	stage   stage
	offline []string // of an answer that has not come to its end
	quit    func()   // of one that goes alone
}

// Owner is who has pushes sent. The methods may be called from any goroutine.
type Owner interface {
	// Settle is called once for each; it must not block.
	Settle(i int, a Answer)
	// UIDs are asked for if they are Given, and if the frontend's replica does not have
	// Index. known: there is a list, of which nobody changes anything any more.
	UIDs(i int) (uids []string, known bool)
}

func (p *Push) settle(a Answer) { p.Body.Owner.Settle(p.I, a) }

type stage uint8

const (
	queued stage = iota
	sent
	alone // on a call of its own
	settled
)

// Answer is what became of a push.
type Answer struct {
	Outcome peerpb.DeliverOutcome
	Reason  string
	Offline []string
}

func notDelivered(reason string) Answer {
	return Answer{Outcome: peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED, Reason: reason}
}

func unknown(reason string) Answer {
	return Answer{Outcome: peerpb.DeliverOutcome_DELIVER_UNKNOWN, Reason: reason}
}

// Body is what is the same for all frontends. What they get of it is encoded once.
type Body struct {
	Index    uint64 // what a frontend's replica must have
	Deadline time.Time
	Given    bool // the uids follow without being asked for: they are not in the replica
	Owner    Owner

	Channel, Route string
	Msg            []byte // a copy
	Urgent         bool   // goes ahead of those that are not

	encoded []byte // the last fields of peerpb.Push
}

// NewBody copies the message. audience is an encoded peerpb.PushAudience, or empty: the
// members of the channel.
func NewBody(channel, route string, msg, audience []byte, urgent bool) *Body {
	b := make([]byte, 0, len(channel)+len(route)+len(msg)+len(audience)+32)
	if len(audience) > 0 {
		b = protowire.AppendTag(b, fieldAudience, protowire.BytesType)
		b = protowire.AppendBytes(b, audience)
	}
	b = appendString(b, fieldChannel, channel)
	b = appendString(b, fieldRoute, route)
	if urgent {
		b = protowire.AppendTag(b, fieldUrgent, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	if len(msg) > 0 {
		b = protowire.AppendTag(b, fieldMsg, protowire.BytesType)
		b = protowire.AppendBytes(b, msg)
	}
	return &Body{Channel: channel, Route: route, Msg: b[len(b)-len(msg):], Urgent: urgent, encoded: b}
}

func (p *Push) lane() int {
	if p.Body.Urgent {
		return 0
	}
	return 1
}

// Abandon settles the push, unless it is: nobody waits for it any more. tell: the frontend
// should hear of it, because it does not know that from the deadline.
func (p *Push) Abandon(reason string, tell bool) {
	l := p.link
	l.mu.Lock()
	var a Answer
	switch p.stage {
	case settled:
		l.mu.Unlock()
		return
	case queued:
		l.queues[p.lane()].withdrew()
		a = notDelivered("not sent: " + reason)
	case sent:
		delete(l.open, p.number)
		if tell {
			l.abandoned = append(l.abandoned, p.number)
			l.signal()
		}
		a = unknown(reason)
	case alone:
		p.quit()
		a = unknown(reason)
	}
	p.stage = settled
	l.queues[p.lane()].compact()
	l.mu.Unlock()
	p.settle(a)
}
