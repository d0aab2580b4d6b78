package delivery

import (
	"iter"
	"time"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what codec passes other messages to
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Numbers of fields, as in peer.proto. A test compares what is written here with
// what the generated code reads.
const (
	fieldPushes    = 2 // of PushRequest
	fieldAbandoned = 4
	fieldReceived  = 5

	fieldNumber  = 1 // of Push
	fieldSID     = 2
	fieldEpoch   = 3
	fieldIndex   = 4
	fieldTimeout = 5
	fieldChannel = 6
	fieldRoute   = 7
	fieldUrgent  = 8
	fieldMsg     = 9
	fieldGiven   = 10

	fieldAudience = 11
	fieldFull     = 12
	fieldKey      = 13
	fieldID       = 14

	// bySelf: a body of at least so many bytes is not copied into each frontend's message.
	bySelf = 16 << 10
)

// frame is an encoded PushRequest with pushes. Large bodies are in it as they are.
type frame struct{ parts mem.BufferSlice }

// newFrame writes about size bytes, which may be too many.
func newFrame(pushes []*Push, abandoned []uint64, received uint64, size int) *frame {
	w := frameWriter{parts: make(mem.BufferSlice, 0, 1)}
	w.begin(size + 11*len(abandoned) + 32)
	if received != 0 {
		w.b = appendVarint(w.b, fieldReceived, received)
	}
	for _, number := range abandoned { // proto3 readers take them unpacked, too
		w.b = appendVarint(w.b, fieldAbandoned, number)
	}
	now := time.Now()
	for _, p := range pushes {
		w.push(p, now)
	}
	w.flush()
	return &frame{w.parts}
}

type frameWriter struct {
	parts mem.BufferSlice
	b     []byte // to be written to, in a buffer of the pool
	p     *[]byte
}

func (w *frameWriter) begin(size int) {
	w.p = mem.DefaultBufferPool().Get(size)
	w.b = (*w.p)[:0]
}

// flush makes a part of what was written. The buffer goes back when gRPC has sent it.
func (w *frameWriter) flush() {
	*w.p = w.b
	w.parts = append(w.parts, mem.NewBuffer(w.p, mem.DefaultBufferPool()))
}

func (w *frameWriter) push(p *Push, now time.Time) {
	var hand [framePush + 64]byte
	head := appendVarint(hand[:0], fieldNumber, p.number)
	head = appendString(head, fieldSID, p.SID)
	head = appendVarint(head, fieldEpoch, p.Epoch)
	head = appendVarint(head, fieldIndex, p.Body.Index)
	if !p.Body.Deadline.IsZero() {
		head = appendVarint(head, fieldTimeout, uint64(max(1, p.Body.Deadline.Sub(now).Microseconds())))
	}
	if p.Body.Given {
		head = appendVarint(head, fieldGiven, 1)
	}
	body := p.Body.encoded
	w.b = protowire.AppendTag(w.b, fieldPushes, protowire.BytesType)
	w.b = protowire.AppendVarint(w.b, uint64(len(head)+len(body)))
	w.b = append(w.b, head...)
	if len(body) < bySelf {
		w.b = append(w.b, body...)
		return
	}
	w.flush()
	w.parts = append(w.parts, mem.SliceBuffer(body))
	w.begin(4 << 10)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendString(b, v)
}

// uidMessages cuts the uids of a push into messages; at least one, maybe empty.
func uidMessages(number uint64, uids []string) iter.Seq[*peerpb.PushRequest] {
	return func(yield func(*peerpb.PushRequest) bool) {
		for part, more := range Chunks(uids, maxUIDs) {
			req := &peerpb.PushRequest{Uids: []*peerpb.PushUids{{Number: number, Uids: part, More: more}}}
			if !yield(req) {
				return
			}
		}
	}
}

// Chunks cuts uids into runs of at most limit bytes, as they take in a message; at least
// one, maybe empty. more: another one follows.
func Chunks(uids []string, limit int) iter.Seq2[[]string, bool] {
	return func(yield func(part []string, more bool) bool) {
		start, size := 0, 0
		for i, uid := range uids {
			if size+len(uid)+4 > limit && i > start {
				if !yield(uids[start:i], true) {
					return
				}
				start, size = i, 0
			}
			size += len(uid) + 4
		}
		yield(uids[start:], false)
	}
}

// codec sends a frame as it is, and all else as gRPC's own codec does, whose name it has:
// the other end need not know it.
type codec struct{}

var proto = encoding.GetCodecV2("proto")

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.parts, nil
	}
	return proto.Marshal(v)
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error { return proto.Unmarshal(data, v) }
