package delivery

import (
	"context"
	"sync"
	"sync/atomic"
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
	sweep   *time.Timer // nil: every link has a stream

	given atomic.Int64 // bytes of uids in all ledgers
}

type linkID [idBytes]byte

// NewReceiver hands pushes to accept, which answers each in its own time; the Request is
// its during the call only, and all that it points to for good. alive decides
// for how long the ledger of a link is kept that has no stream.
func NewReceiver(accept func(*Incoming, *Request), alive func(sid, incarnation string) bool) *Receiver {
	ctx, cancel := context.WithCancel(context.Background())
	return &Receiver{accept: accept, alive: alive, ctx: ctx, cancel: cancel, ledgers: make(map[linkID]*ledger)}
}

// interrupt ends the contexts of all pushes, so that they are answered soon.
func (r *Receiver) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.sweep != nil {
		r.sweep.Stop()
		r.sweep = nil
	}
	for _, l := range r.ledgers {
		l.interrupt()
	}
}

// Close interrupts, and ends the streams. Answers that are ready go out.
func (r *Receiver) Close() {
	r.interrupt()
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
	l, welcome, err := r.attach(hello)
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

// attach begins a stream of a link, which may be new.
func (r *Receiver) attach(hello *peerpb.PushLink) (*ledger, *peerpb.PushWelcome, error) {
	id := linkID(hello.GetId())
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.ledgers[id]
	if l == nil {
		if len(r.ledgers) >= maxLedgers {
			r.sweepLocked()
		}
		if len(r.ledgers) >= maxLedgers {
			return nil, nil, status.Error(codes.ResourceExhausted, "too many links")
		}
		l = newLedger(id, hello.GetSid(), hello.GetIncarnation(), &r.given)
		l.over = r.over
		r.ledgers[id] = l
	}
	welcome, err := l.attach(hello)
	return l, welcome, err
}

// detach notes the end of a stream. A link that its pusher has ended is forgotten.
func (r *Receiver) detach(l *ledger, number uint32, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.detach(number) || r.ledgers[l.id] != l {
		return
	}
	if ended {
		delete(r.ledgers, l.id)
		l.stopAsking()
		return
	}
	r.sweepSoonLocked()
}

// sweepSoonLocked sweeps once and, while links are left that have no stream, again.
func (r *Receiver) sweepSoonLocked() {
	if r.sweep != nil || r.over {
		return
	}
	r.sweep = time.AfterFunc(orphanAfter, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.sweep = nil; r.sweepLocked() {
			r.sweepSoonLocked()
		}
	})
}

// sweepLocked forgets links whose pusher will hardly come back. If one does, it
// learns that, and sends nothing again. left: some are without a stream.
func (r *Receiver) sweepLocked() (left bool) {
	for id, l := range r.ledgers {
		away, since := l.away()
		switch {
		case !away:
			continue
		case since >= forgetAfter, since >= orphanAfter && !r.alive(l.sid, l.incarnation):
			delete(r.ledgers, id)
			l.interrupt()
			continue
		case since >= orphanAfter:
			l.stopAsking()
		}
		left = true
	}
	return left
}
