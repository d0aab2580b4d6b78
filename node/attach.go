package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const helloTimeout = 5 * time.Second

// agent makes frontends of processes that do not embed a node. Each holds an
// Attach stream; its life is registered with via = this server. An orderly end of
// the stream is a goodbye. A broken one is silence: the leader ends the life when
// that has lasted for Settings.ReapAfter, unless the same process attaches again,
// here or elsewhere, and has its members back.
type agent struct {
	node   *Node
	life   *life
	enroll *enrollment
	local  *frontends
	reader *reader
	outbox *outbox

	ctx    context.Context // ends when no more goodbyes are repeated
	cancel context.CancelFunc
	wg     sync.WaitGroup // goodbyes that are still being said

	mu     sync.Mutex // guards all below
	closed bool
	epochs map[string]uint64 // by sid: the newest life that was attached here and has not said goodbye
}

func newAgent(n *Node, l *life, e *enrollment, f *frontends, r *reader, o *outbox) *agent {
	ctx, cancel := context.WithCancel(context.Background())
	return &agent{node: n, life: l, enroll: e, local: f, reader: r, outbox: o, ctx: ctx, cancel: cancel, epochs: make(map[string]uint64)}
}

// remember notes the life of a sid; 0: it is gone for good.
func (a *agent) remember(sid string, epoch uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if epoch == 0 {
		delete(a.epochs, sid)
	} else {
		a.epochs[sid] = epoch
	}
}

// knows says that a life of that sid was attached here and has not said goodbye.
func (a *agent) knows(sid string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.epochs[sid] != 0
}

// resume asks for the members of the life that was attached here, if it is over.
func (a *agent) resume(sid string) *fsmpb.Resume {
	a.mu.Lock()
	epoch := a.epochs[sid]
	a.mu.Unlock()
	if a.reader.replica.Level() < parkingLevel {
		return nil // an older leader could not read it, and nothing is parked
	}
	return a.outbox.resumeAttached(sid, epoch)
}

// serve is one Attach stream, from Hello to its end.
func (a *agent) serve(stream pb.GlobalChannel_AttachServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(a.node.ctx, func() { cancel(ErrClosed) })()
	hello, err := receiveHello(ctx, stream)
	if err != nil {
		return err
	}
	viaEpoch, err := a.life.wait(ctx)
	if err != nil {
		return err
	}
	at := newAttachment(ctx, stream)
	fe := &frontend{incarnation: hello.GetIncarnation(), inbox: newInbox(at.handle, a.node.log), epoch: at.wait}
	if err := a.local.claim(ctx, hello.GetSid(), fe); err != nil {
		return err
	}
	up := &fsmpb.ServerUp{
		Sid: hello.GetSid(), Stype: hello.GetStype(), Zone: hello.GetZone(),
		NodeId: a.life.server.NodeID, Incarnation: hello.GetIncarnation(), Addr: a.life.server.Addr,
		Via: a.life.server.SID, ViaEpoch: viaEpoch,
		Resume: a.resume(hello.GetSid()),
	}
	// This server's own life may be over, and it be registered again meanwhile.
	resp, err := a.enroll.register(ctx, up, func(string) {}, func() error {
		up.ViaEpoch, _ = a.life.current()
		up.Resume = a.resume(up.GetSid())
		return a.node.failure()
	})
	if err == nil {
		a.reader.saw(resp.GetIndex())
		a.remember(hello.GetSid(), resp.GetEpoch())
		a.outbox.resumed(hello.GetSid())
		if fsm.UpOutcome(resp.GetResult()) == fsm.UpNew && len(resp.GetPredecessor()) == 0 { // another process
			a.node.managed.purgeBefore(ctx, hello.GetSid())
		}
		err = a.attend(ctx, cancel, at, up, resp)
	}
	a.local.leave(hello.GetSid())
	_ = fe.inbox.close(ctx) // its handlers end with the stream's context, which has ended
	if resp != nil && !errors.Is(err, io.EOF) {
		a.local.remove(hello.GetSid()) // from here on nobody answers for the life
		return err
	}
	a.remember(hello.GetSid(), 0)
	a.goodbye(up, resp.GetEpoch(), err)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// attend runs the stream until either side, or the life, ends. io.EOF is an
// orderly end.
func (a *agent) attend(ctx context.Context, cancel context.CancelCauseFunc, at *attachment, up *fsmpb.ServerUp, resp *peerpb.RegisterResponse) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		// Over, or gone on to another agent with the same life.
		ended := isOver(resp.GetEpoch(), resp.GetIndex())
		over := watchServer(ctx, a.reader.replica, up.GetSid(), func(now fsm.Server, known bool, applied uint64) bool {
			moved := now.Epoch == resp.GetEpoch() && now.Changed > resp.GetIndex() && now.ViaEpoch != up.GetViaEpoch()
			return moved || ended(now, known, applied)
		})
		if over {
			cancel(fmt.Errorf("%w: the life of %s was ended", ErrFenced, up.GetSid()))
		}
	})
	at.open(resp.GetEpoch(), &pb.Attached{Epoch: resp.GetEpoch(), Index: resp.GetIndex(), Incarnation: up.GetIncarnation()})
	// Send (to somebody who does not read) and Recv end with the stream only, so
	// nobody waits for these two: returning from serve ends the stream.
	go func() { cancel(at.send()) }()
	go func() { cancel(at.receive()) }()
	<-ctx.Done()
	wg.Wait()
	return context.Cause(ctx)
}

// goodbye ends the life in the background, until it is committed or this node
// closes: its members must not outlive the frontend. Until then the sid stays
// taken here, or this end would hit a life that has come back meanwhile.
func (a *agent) goodbye(up *fsmpb.ServerUp, epoch uint64, err error) {
	sent := up.GetSeen() != 0 && !errors.Is(err, ErrRefused)
	if !a.begin() {
		return
	}
	go func() {
		defer a.wg.Done()
		defer a.local.remove(up.GetSid())
		if !sent {
			return
		}
		if err := a.enroll.end(a.ctx, up, epoch); err != nil {
			a.node.log.Warn("attached frontend's life not ended", "sid", up.GetSid(), "err", err)
		}
	}()
}

// begin counts a goodbye in, unless close has stopped waiting for new ones.
func (a *agent) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.wg.Add(1)
	}
	return !a.closed
}

// close waits for the goodbyes until ctx ends.
func (a *agent) close(ctx context.Context) {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	defer context.AfterFunc(ctx, a.cancel)()
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
