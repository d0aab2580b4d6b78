package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	helloTimeout = 5 * time.Second
	// attachedUIDs bounds one message of a push to an attached frontend.
	attachedQueue = 64
)

// agent makes frontends of processes that do not embed a node. Each holds an
// Attach stream; its life is registered with via = this server, and ends with
// the stream.
type agent struct {
	node   *Node
	life   *life
	enroll *enrollment
	local  *frontends
	reader *reader

	ctx    context.Context // ends when no more goodbyes are repeated
	cancel context.CancelFunc
	wg     sync.WaitGroup // goodbyes that are still being said
}

func newAgent(n *Node, l *life, e *enrollment, f *frontends, r *reader) *agent {
	ctx, cancel := context.WithCancel(context.Background())
	return &agent{node: n, life: l, enroll: e, local: f, reader: r, ctx: ctx, cancel: cancel}
}

// attachment is one attached frontend.
type attachment struct {
	stream pb.GlobalChannel_AttachServer
	ctx    context.Context // of the stream
	out    chan *pb.AttachResponse

	mu      sync.Mutex // guards all below
	last    uint64
	waiting map[uint64]chan *pb.PushReply
}

// serve is one Attach stream, from Hello to its end.
func (a *agent) serve(stream pb.GlobalChannel_AttachServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	hello, err := receiveHello(ctx, stream)
	if err != nil {
		return err
	}
	viaEpoch, err := a.life.wait(ctx)
	if err != nil {
		return err
	}
	at := &attachment{stream: stream, ctx: ctx, out: make(chan *pb.AttachResponse, attachedQueue), waiting: make(map[uint64]chan *pb.PushReply)}
	registered := make(chan struct{})
	var epoch uint64
	fe := &frontend{
		incarnation: hello.GetIncarnation(),
		inbox:       newInbox(at.handle, a.node.log),
		epoch: func(ctx context.Context) (uint64, error) {
			select {
			case <-registered:
				return epoch, nil
			case <-ctx.Done():
				return 0, ended(ctx)
			}
		},
	}
	if err := a.local.put(hello.GetSid(), fe); err != nil {
		return err
	}
	defer a.local.remove(hello.GetSid())
	resp, err := a.enroll.register(ctx, &fsmpb.ServerUp{
		Sid: hello.GetSid(), Stype: hello.GetStype(), Zone: hello.GetZone(),
		NodeId: a.life.server.NodeID, Incarnation: hello.GetIncarnation(), Addr: a.life.server.Addr,
		Via: a.life.server.SID, ViaEpoch: viaEpoch,
	}, func(string) {})
	if err != nil {
		return err
	}
	epoch = resp.GetEpoch()
	close(registered)
	a.reader.saw(resp.GetIndex())
	err = a.attend(ctx, cancel, at, hello, epoch, resp.GetIndex())
	_ = fe.inbox.close(ctx) // its handlers end with the stream's context, which has ended
	a.goodbye(hello.GetSid(), epoch)
	return err
}

// attend runs the stream until either side, or the life, ends.
func (a *agent) attend(ctx context.Context, cancel context.CancelCauseFunc, at *attachment, hello *pb.Hello, epoch, index uint64) error {
	var wg sync.WaitGroup
	wg.Go(func() { cancel(at.send()) })
	wg.Go(func() {
		if a.over(ctx, hello.GetSid(), epoch) {
			cancel(fmt.Errorf("%w: the life of %s was ended", ErrFenced, hello.GetSid()))
		}
	})
	at.out <- &pb.AttachResponse{Message: &pb.AttachResponse_Attached{
		Attached: &pb.Attached{Epoch: epoch, Index: index, Incarnation: hello.GetIncarnation()},
	}}
	// Recv ends with the stream only, so it gets a goroutine that nobody waits
	// for: returning from serve ends the stream.
	go func() { cancel(at.receive()) }()
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// over waits until the replica shows that the life has ended, or ctx ends.
func (a *agent) over(ctx context.Context, sid string, epoch uint64) bool {
	l := &life{server: Server{SID: sid}, epoch: epoch}
	return l.watch(ctx, a.reader.replica)
}

// goodbye ends the life in the background, until it is committed or this node
// closes: its members must not outlive the frontend.
func (a *agent) goodbye(sid string, epoch uint64) {
	a.wg.Go(func() {
		if _, err := a.enroll.unregister(a.ctx, sid, epoch); err != nil {
			a.node.log.Warn("attached frontend's life not ended", "sid", sid, "err", err)
		}
	})
}

// close waits for the goodbyes until ctx ends.
func (a *agent) close(ctx context.Context) {
	stop := context.AfterFunc(ctx, a.cancel)
	defer stop()
	a.wg.Wait()
	a.cancel()
}

func receiveHello(ctx context.Context, stream pb.GlobalChannel_AttachServer) (*pb.Hello, error) {
	type first struct {
		req *pb.AttachRequest
		err error
	}
	got := make(chan first, 1)
	go func() {
		req, err := stream.Recv()
		got <- first{req, err}
	}()
	t := time.NewTimer(helloTimeout)
	defer t.Stop()
	var hello *pb.Hello
	select {
	case f := <-got:
		if f.err != nil {
			return nil, f.err
		}
		hello = f.req.GetHello()
	case <-t.C:
		return nil, invalid("hello", "did not come within %v", helloTimeout)
	case <-ctx.Done():
		return nil, ended(ctx)
	}
	if hello == nil {
		return nil, invalid("hello", "must be the first message of an Attach stream")
	}
	if err := firstError(checkSID(hello.GetSid()), checkSType(hello.GetStype())); err != nil {
		return nil, err
	}
	if hello.GetZone() != "" {
		if err := checkText("zone", hello.GetZone(), maxSID); err != nil {
			return nil, err
		}
	}
	if hello.GetIncarnation() == "" {
		hello.Incarnation = uuid.NewString()
	}
	if _, err := uuid.Parse(hello.GetIncarnation()); err != nil {
		return nil, invalid("incarnation", "is not a UUID")
	}
	return hello, nil
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
	for chunk := range chunks(d.uids, maxChunk) {
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
