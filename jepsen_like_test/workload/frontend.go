package workload

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Frontend is a process that embeds no node. It is attached to one server after another,
// whether that one goes away or not, and now and then it dies or says goodbye: then
// another process comes with its sid.
type Frontend struct {
	SID    string
	Agents []Server      // that it may be attached to
	Stay   time.Duration // with one of them, at most

	history     *history.Recorder
	rnd         *rand.Rand
	start       int
	incarnation string
	handler     *PushHandler
}

// attachTime is what attaching may take.
const attachTime = 5 * time.Second

func (f *Frontend) begin(h *history.Recorder, seed uint64, number int) {
	if f.start == 0 {
		f.history, f.rnd = h, rand.New(rand.NewPCG(seed, 1<<32|uint64(number)))
		f.born()
	}
}

// born is another process.
func (f *Frontend) born() {
	f.start++
	f.incarnation = uuid.NewString()
	f.history.Note(history.Event{F: history.Started, Via: f.SID, Start: f.start})
	alive := func(note func()) bool { note(); return true } // it notes nothing after its death
	f.handler = NewPushHandler(f.SID, f.start, alive, f.history, rand.New(rand.NewPCG(f.rnd.Uint64(), 0)))
}

// run is attached until ctx ends, then only its streams do: the process lives on.
func (f *Frontend) run(ctx context.Context) {
	for ctx.Err() == nil {
		agent := f.Agents[f.rnd.IntN(len(f.Agents))]
		a := &attachedStream{frontend: f}
		if err := a.open(ctx, agent); err != nil {
			a.close(false)
			pause(ctx, redial)
			continue
		}
		end := f.rnd.IntN(5) // 0: with a goodbye, 1: the process dies, else it is attached elsewhere
		short, cancel := context.WithTimeout(ctx, time.Duration(f.rnd.Int64N(int64(f.Stay))))
		lives := a.serve(short) && ctx.Err() == nil
		cancel()
		a.close(lives && end == 0)
		if lives && end <= 1 {
			f.born()
		}
	}
}

// attachedStream is one Attach.
type attachedStream struct {
	frontend *Frontend
	cancel   context.CancelFunc
	running  sync.WaitGroup // answers that are still due, and who receives
	ctx      context.Context

	sending sync.Mutex // one sends at a time
	stream  grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]
}

// open returns when the frontend is registered.
func (a *attachedStream) open(ctx context.Context, agent Server) error {
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx)) // of the stream: for the goodbye
	defer context.AfterFunc(ctx, a.cancel)()
	late := time.AfterFunc(attachTime, a.cancel)
	defer late.Stop()
	client, err := agent.Client()
	if err != nil {
		return err
	}
	if err := agent.Connect(a.ctx); err != nil {
		return err
	}
	if a.stream, err = client.Attach(a.ctx); err != nil {
		return err
	}
	f := a.frontend
	a.send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: &pb.Hello{Sid: f.SID, Stype: SType, Incarnation: f.incarnation}}})
	r, err := a.stream.Recv()
	if err == nil && r.GetAttached() == nil {
		err = errors.New("the first answer is another one")
	}
	return err
}

// serve takes pushes until ctx ends (true) or the stream does.
func (a *attachedStream) serve(ctx context.Context) (whole bool) {
	// What arrives after the frontend's end has been handed to nobody.
	received := make(chan *pb.PushDelivery)
	a.running.Go(func() {
		defer close(received)
		for {
			r, err := a.stream.Recv()
			if err != nil {
				return
			}
			select {
			case received <- r.GetPush():
			case <-a.ctx.Done():
				return
			}
		}
	})
	open := make(map[uint64]*pb.PushDelivery) // of which more follows
	for {
		select {
		case d, ok := <-received:
			if !ok {
				return false
			}
			if first := open[d.GetId()]; first != nil {
				first.Uids, first.More = append(first.Uids, d.GetUids()...), d.GetMore()
				d = first
			}
			open[d.GetId()] = d
			if !d.GetMore() {
				delete(open, d.GetId())
				a.handle(d)
			}
		case <-ctx.Done():
			return true
		}
	}
}

func (a *attachedStream) handle(d *pb.PushDelivery) {
	offline, after := a.frontend.handler.Handle(d.GetChannel(), d.GetFrom(), d.GetMsg(), d.GetUids())
	a.running.Go(func() {
		pause(a.ctx, after)
		a.send(&pb.AttachRequest{Message: &pb.AttachRequest_Reply{Reply: &pb.PushReply{Id: d.GetId(), Offline: offline}}})
	})
}

// send says nothing of failure: the stream is over then, as Recv tells.
func (a *attachedStream) send(r *pb.AttachRequest) {
	a.sending.Lock()
	defer a.sending.Unlock()
	_ = a.stream.Send(r)
}

// close ends the stream, as a death of the process does, or politely.
func (a *attachedStream) close(politely bool) {
	if politely {
		a.send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}})
		pause(a.ctx, redial)
	}
	a.cancel()
	a.running.Wait()
}
