package delivery

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Request is what a push says at its frontend.
type Request struct {
	SID   string
	Epoch uint64 // the life that is meant
	Index uint64 // what the replica must have
	Given bool   // the uids come without being asked for
	Content

	number  uint64
	timeout time.Duration // 0: none
}

var errNoPush = errors.New("not a push")

// maxTimeout is longer than anybody waits.
const maxTimeout = 24 * time.Hour

// decode reads a peerpb.Push. The message, and the audience, are the caller's memory from
// then on. Generated code would make three times as many pieces of it. Fields that are
// not known are left out: an older pusher has others.
func (r *Request) decode(b []byte) error {
	last := r.Content // whose strings are probably the same again
	*r = Request{}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errNoPush
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				r.number64(field, v)
			}
		case protowire.BytesType:
			var text []byte
			if text, n = protowire.ConsumeBytes(b); n >= 0 {
				r.text(field, text, &last)
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return errNoPush
		}
		b = b[n:]
	}
	if r.number == 0 {
		return errNoPush
	}
	return nil
}

func (r *Request) number64(field protowire.Number, v uint64) {
	switch field {
	case fieldNumber:
		r.number = v
	case fieldEpoch:
		r.Epoch = v
	case fieldIndex:
		r.Index = v
	case fieldTimeout:
		r.timeout = time.Duration(min(v, uint64(maxTimeout/time.Microsecond))) * time.Microsecond
	case fieldUrgent:
		r.Urgent = v != 0
	case fieldGiven:
		r.Given = v != 0
	case fieldFull:
		r.Full = peerpb.PushFull(v)
	}
}

func (r *Request) text(field protowire.Number, text []byte, last *Content) {
	switch field {
	case fieldSID:
		r.SID = string(text)
	case fieldChannel:
		r.Channel = again(text, last.Channel)
	case fieldRoute:
		r.Route = again(text, last.Route)
	case fieldMsg:
		r.Msg = text[:len(text):len(text)]
	case fieldAudience:
		r.Audience = text
	case fieldKey:
		r.Key = string(text)
	case fieldID:
		r.ID = string(text)
	}
}

// again is a string of a text, if possible one that there is.
func again(text []byte, last string) string {
	if string(text) == last {
		return last
	}
	return string(text)
}
