package delivery

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// world is a pusher and a frontend with a connection that a test can break.
type world struct {
	links    *Links
	receiver atomic.Pointer[Receiver] // of the process that is at the address now
	server   *grpc.Server
	conn     *grpc.ClientConn
	listener *bufconn.Listener

	mu      sync.Mutex
	streams []*breakable
	begun   int                // streams
	onSend  func(s *breakable) // before what is sent leaves
	onRecv  func(s *breakable) // before what came is seen
	bugs    bool               // the link loses its memory with each stream
	breaks  atomic.Bool        // each stream, before anything is sent
}

type server struct {
	peerpb.UnimplementedPeerServer
	w *world
}

func (s server) Pushes(stream peerpb.Peer_PushesServer) error {
	return s.w.receiver.Load().Serve(stream)
}

// arrived is an Incoming with what it says.
type arrived struct {
	*Incoming
	Request
}

func taking(accept func(arrived)) func(*Incoming, *Request) {
	return func(in *Incoming, r *Request) { accept(arrived{in, *r}) }
}

// newWorld serves accept. It runs in a bubble.
func newWorld(t *testing.T, accept func(arrived), alive func(sid, incarnation string) bool) *world {
	w := new(world)
	w.receiver.Store(NewReceiver(taking(accept), alive))
	w.serve(t, server{w: w})
	return w
}

func (w *world) serve(t *testing.T, service peerpb.PeerServer) {
	w.listener = bufconn.Listen(1 << 20)
	w.server = grpc.NewServer()
	peerpb.RegisterPeerServer(w.server, service)
	go func() { _ = w.server.Serve(w.listener) }()
	var err error
	w.conn, err = grpc.NewClient("passthrough:///bufconn",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	w.links = NewLinks("pusher", "incarnation", func(string) (peerpb.PeerClient, error) {
		return flaky{peerpb.NewPeerClient(w.conn), w}, nil
	})
	t.Cleanup(func() {
		w.links.Close()
		w.receiver.Load().Close()
		w.server.Stop()
		_ = w.conn.Close()
		_ = w.listener.Close()
	})
}

// flaky opens streams that break.
type flaky struct {
	peerpb.PeerClient
	w *world
}

func (f flaky) Pushes(ctx context.Context, o ...grpc.CallOption) (grpc.BidiStreamingClient[peerpb.PushRequest, peerpb.PushResponse], error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := f.PeerClient.Pushes(ctx, o...)
	if err != nil {
		cancel()
		return nil, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.begun++
	s := &breakable{BidiStreamingClient: stream, w: f.w, cut: cancel, number: f.w.begun}
	f.w.streams = append(f.w.streams, s)
	return s, nil
}

type breakable struct {
	grpc.BidiStreamingClient[peerpb.PushRequest, peerpb.PushResponse]
	w      *world
	cut    func()
	number int
	greets bool
}

func (s *breakable) Send(r *peerpb.PushRequest) error {
	if s.w.bugs && r.GetLink() != nil {
		id := make([]byte, idBytes)
		for i := range id {
			id[i] = byte(rand.Uint32())
		}
		r.Link.Id, r.Link.Open, s.greets = id, nil, true
	}
	return s.BidiStreamingClient.Send(r)
}

func (s *breakable) SendMsg(m any) error {
	if s.w.breaks.Load() {
		s.cut()
		return context.Canceled
	}
	if s.w.onSend != nil {
		s.w.onSend(s)
	}
	return s.BidiStreamingClient.SendMsg(m)
}

func (s *breakable) RecvMsg(m any) error {
	err := s.BidiStreamingClient.RecvMsg(m)
	if err == nil && s.w.onRecv != nil {
		s.w.onRecv(s)
		return s.Context().Err()
	}
	return err
}

func (s *breakable) Recv() (*peerpb.PushResponse, error) {
	r, err := s.BidiStreamingClient.Recv()
	if err == nil && s.greets {
		s.greets = false
		r.Welcome = &peerpb.PushWelcome{Known: true}
	}
	if err == nil && s.w.onRecv != nil {
		s.w.onRecv(s)
		if s.Context().Err() != nil {
			return nil, s.Context().Err()
		}
	}
	return r, err
}

// push sends one and gives the channel of its answer.
func (w *world) push(channel, msg string) (*Push, <-chan Answer) {
	p := &Push{SID: "frontend", Epoch: 7, Body: NewBody(Content{Channel: channel, Route: "route", Msg: []byte(msg)})}
	p.Body.Index, p.Body.Deadline = 42, time.Now().Add(pushTime)
	return p, w.send(p, "alice", "bob")
}

func (w *world) send(p *Push, uids ...string) <-chan Answer {
	o := &owner{answer: make(chan Answer, 2), uids: uids}
	p.Body.Owner = o
	w.links.Send("addr", p)
	return o.answer
}

// owner is of one push.
type owner struct {
	answer chan Answer
	uids   []string
}

func (o *owner) Settle(_ int, a Answer)    { o.answer <- a }
func (o *owner) UIDs(int) ([]string, bool) { return o.uids, true }

// pushTime is what a push has, in the time of its bubble.
const pushTime = time.Minute

// wait is what a caller does.
func (p *Push) wait(answer <-chan Answer) Answer {
	select {
	case a := <-answer:
		return a
	case <-time.After(time.Until(p.Body.Deadline)):
		p.Abandon("timeout", false)
		return <-answer
	}
}

func delivered() Answer { return Answer{Outcome: peerpb.DeliverOutcome_DELIVER_DELIVERED} }
