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

	Content
	encoded []byte // the content, as fields of peerpb.Push
}

// Content is what frontends get of a push.
type Content struct {
	Channel, Route string
	Msg            []byte
	Audience       []byte // an encoded peerpb.PushAudience; empty: the members of the channel
	Urgent         bool   // goes ahead of those that are not
	Full           peerpb.PushFull
	Key, ID        string
}

// NewBody copies the message.
func NewBody(c Content) *Body {
	b := make([]byte, 0, len(c.Channel)+len(c.Route)+len(c.Msg)+len(c.Audience)+len(c.Key)+len(c.ID)+40)
	b = appendString(b, fieldChannel, c.Channel)
	b = appendString(b, fieldRoute, c.Route)
	if len(c.Audience) > 0 {
		b = appendString(b, fieldAudience, string(c.Audience))
	}
	if c.Urgent {
		b = appendVarint(b, fieldUrgent, 1)
	}
	if c.Full != 0 {
		b = appendVarint(b, fieldFull, uint64(c.Full))
	}
	if c.Key != "" {
		b = appendString(b, fieldKey, c.Key)
	}
	if c.ID != "" {
		b = appendString(b, fieldID, c.ID)
	}
	if len(c.Msg) > 0 {
		b = protowire.AppendTag(b, fieldMsg, protowire.BytesType)
		b = protowire.AppendBytes(b, c.Msg)
	}
	c.Msg = b[len(b)-len(c.Msg):]
	return &Body{Content: c, encoded: b}
}

func (p *Push) lane() int {
	if p.Body.Urgent {
		return 0
	}
	return 1
}

// Abandon settles a push that was sent, unless it is: nobody waits for it any more. tell: the frontend
// should hear of it, because it does not know that from the deadline.
func (p *Push) Abandon(reason string, tell bool) {
	l := p.link
	if l == nil {
		return // Send had no room for it, or settled it
	}
	l.mu.Lock()
	var a Answer
	switch p.stage {
	case settled:
		l.mu.Unlock()
		return
	case queued:
		l.queues[p.lane()].withdrew(p)
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
	l.roomLocked()
	l.mu.Unlock()
	p.settle(a)
}
