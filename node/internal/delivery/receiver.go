package delivery

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	maxLedgers  = 8192             // links that are remembered
	forgetAfter = 10 * time.Minute // a link without a stream, whose pusher may yet live
	orphanAfter = 10 * time.Second // one whose pusher's life is over
	idBytes     = 16
)

// Receiver is the other end of all links to this process.
type Receiver struct {
	accept func(*Incoming, *Request)          // in the order of the link; must not block
	alive  func(sid, incarnation string) bool // as far as is known here

	ctx    context.Context // of all streams
	cancel context.CancelFunc

	mu      sync.Mutex // guards all below
	ledgers map[linkID]*ledger
	over    bool
}

type linkID [idBytes]byte

// NewReceiver hands pushes to accept, which answers each in its own time; the Request is
// its during the call only, and all that it points to for good. alive decides
// for how long the ledger of a link is kept that has no stream.
func NewReceiver(accept func(*Incoming, *Request), alive func(sid, incarnation string) bool) *Receiver {
	ctx, cancel := context.WithCancel(context.Background())
	return &Receiver{accept: accept, alive: alive, ctx: ctx, cancel: cancel, ledgers: make(map[linkID]*ledger)}
}

// Interrupt ends the contexts of all pushes, so that they are answered soon.
func (r *Receiver) Interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, l := range r.ledgers {
		l.interrupt()
	}
}

// Close interrupts, and ends the streams. Answers that are ready go out.
func (r *Receiver) Close() {
	r.Interrupt()
	r.cancel()
}

// Serve is one stream of a link.
func (r *Receiver) Serve(calls peerpb.Peer_PushesServer) error {
	first, err := calls.Recv()
	if err != nil {
		return err
	}
	hello := first.GetLink()
	if len(hello.GetId()) != idBytes || hello.GetStream() == 0 {
		return status.Error(codes.InvalidArgument, "a stream of pushes without a link")
	}
	l, err := r.ledger(hello)
	if err != nil {
		return err
	}
	welcome, err := l.attach(hello)
	if err != nil {
		return err
	}
	if err := calls.Send(&peerpb.PushResponse{Welcome: welcome}); err != nil {
		r.detach(l, hello.GetStream(), false)
		return err
	}
	ctx, cancel := context.WithCancel(calls.Context())
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	// Recv ends with the stream only, and that with the return of Serve: nobody waits.
	go func() {
		defer cancel()
		ended := r.receive(l, hello.GetStream(), calls)
		r.detach(l, hello.GetStream(), ended)
	}()
	err = l.reply(ctx, hello.GetStream(), calls)
	if r.ctx.Err() != nil {
		return status.Error(codes.Unavailable, "this server is closing")
	}
	return err
}

// receive takes what comes, to the end of the stream. ended: the pusher said so.
func (r *Receiver) receive(l *ledger, number uint32, calls peerpb.Peer_PushesServer) (ended bool) {
	var said Request
	for req := new(peerpb.PushRequest); ; {
		if err := calls.RecvMsg(req); err != nil { // which resets it
			return isEnd(err)
		}
		if !l.take(number, req, &said, r.accept) {
			return false // another stream has taken over
		}
	}
}

// ledger is that of a link, which may be new.
func (r *Receiver) ledger(hello *peerpb.PushLink) (*ledger, error) {
	id := linkID(hello.GetId())
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.ledgers[id]; l != nil {
		return l, nil
	}
	r.sweepLocked()
	if len(r.ledgers) >= maxLedgers {
		return nil, status.Error(codes.ResourceExhausted, "too many links")
	}
	l := newLedger(id, hello.GetSid(), hello.GetIncarnation())
	l.over = r.over
	r.ledgers[id] = l
	return l, nil
}

// detach notes the end of a stream. A link that its pusher has ended is forgotten.
func (r *Receiver) detach(l *ledger, number uint32, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := l.detach(number); last && ended {
		delete(r.ledgers, l.id)
	}
	r.sweepLocked()
}

// sweepLocked forgets links whose pusher will hardly come back. If one does, it
// learns that, and sends nothing again.
func (r *Receiver) sweepLocked() {
	for id, l := range r.ledgers {
		away, since := l.away()
		if away && (since > forgetAfter || since > orphanAfter && !r.alive(l.sid, l.incarnation)) {
			delete(r.ledgers, id)
		}
	}
}
