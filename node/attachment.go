package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/node/internal/delivery"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// maxChunk is how many bytes of uids travel in one message.
const maxChunk = 1 << 20

// attachedQueue is how many messages may wait for an attached frontend to read.
const attachedQueue = 64

// attachment is the stream of one attached frontend: pushes out, replies in.
type attachment struct {
	stream pb.GlobalChannel_AttachServer
	ctx    context.Context // of the stream
	out    chan *pb.AttachResponse

	registered chan struct{} // closed once epoch is set
	epoch      uint64

	mu      sync.Mutex // guards all below
	last    uint64
	waiting map[uint64]chan *pb.PushReply
}

func newAttachment(ctx context.Context, stream pb.GlobalChannel_AttachServer) *attachment {
	return &attachment{
		stream: stream, ctx: ctx, out: make(chan *pb.AttachResponse, attachedQueue),
		registered: make(chan struct{}), waiting: make(map[uint64]chan *pb.PushReply),
	}
}

// open greets the frontend and lets pushes in. The greeting comes before any push.
func (at *attachment) open(epoch uint64, hello *pb.Attached) {
	at.out <- &pb.AttachResponse{Message: &pb.AttachResponse_Attached{Attached: hello}} // the first: there is room
	at.epoch = epoch
	close(at.registered)
}

// wait returns the epoch once the life is registered. An attachment has one.
func (at *attachment) wait(ctx context.Context, _ uint64) (uint64, error) {
	select {
	case <-at.registered:
		return at.epoch, nil
	case <-at.ctx.Done():
		return 0, ended(at.ctx)
	case <-ctx.Done():
		return 0, ended(ctx)
	}
}

// send is the stream's only sender: gRPC allows no two at once.
func (at *attachment) send() error {
	for {
		select {
		case resp := <-at.out:
			if err := at.stream.Send(resp); err != nil {
				return err
			}
		case <-at.ctx.Done():
			return ended(at.ctx)
		}
	}
}

// receive hands replies to the pushes that wait for them. io.EOF is a goodbye.
func (at *attachment) receive() error {
	for {
		req, err := at.stream.Recv()
		if err != nil {
			return err
		}
		switch m := req.GetMessage().(type) {
		case *pb.AttachRequest_Goodbye:
			return io.EOF
		case *pb.AttachRequest_Reply:
			at.answer(m.Reply)
		default:
			return invalid("message", "is neither a reply nor a goodbye")
		}
	}
}

// answer drops what nobody waits for: late, repeated or made up.
func (at *attachment) answer(r *pb.PushReply) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if w, ok := at.waiting[r.GetId()]; ok {
		w <- r
		delete(at.waiting, r.GetId())
	}
}

// handle is the PushHandler of an attached frontend.
func (at *attachment) handle(ctx context.Context, d *Delivery) ([]string, error) {
	id, reply := at.expect()
	defer at.forget(id)
	if err := at.forward(ctx, id, d); err != nil {
		return nil, err
	}
	select {
	case r := <-reply:
		if r.GetError() != "" {
			return nil, errors.New(r.GetError())
		}
		return r.GetOffline(), nil
	case <-ctx.Done():
		return nil, &handlerOutcome{Unknown, "the attached frontend has not answered in time"}
	case <-at.ctx.Done():
		return nil, &handlerOutcome{Unknown, "the attached frontend's stream broke"}
	}
}

// forward cuts the push into messages of bounded size.
func (at *attachment) forward(ctx context.Context, id uint64, d *Delivery) error {
	var pending *pb.PushDelivery
	for chunk := range delivery.Chunks(d.uids, maxChunk) {
		next := &pb.PushDelivery{Id: id, Uids: chunk}
		if pending == nil {
			next.Route, next.Channel, next.From, next.Msg = d.Route, d.Channel, d.From, d.Msg
			if deadline, ok := ctx.Deadline(); ok {
				next.TimeoutMs = max(1, time.Until(deadline).Milliseconds())
			}
		} else if err := at.queue(ctx, pending, true); err != nil {
			return err
		}
		pending = next
	}
	return at.queue(ctx, pending, false)
}

func (at *attachment) queue(ctx context.Context, m *pb.PushDelivery, more bool) error {
	m.More = more
	select {
	case at.out <- &pb.AttachResponse{Message: &pb.AttachResponse_Push{Push: m}}:
		return nil
	case <-ctx.Done():
		return &handlerOutcome{NotDelivered, "the attached frontend does not read"}
	case <-at.ctx.Done():
		return &handlerOutcome{NotDelivered, "the attached frontend's stream broke"}
	}
}

func (at *attachment) expect() (uint64, <-chan *pb.PushReply) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.last++
	reply := make(chan *pb.PushReply, 1)
	at.waiting[at.last] = reply
	return at.last, reply
}

func (at *attachment) forget(id uint64) {
	at.mu.Lock()
	defer at.mu.Unlock()
	delete(at.waiting, id)
}
