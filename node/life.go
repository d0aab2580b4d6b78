package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	registerTimeout  = 5 * time.Second
	registerPauseMin = 20 * time.Millisecond
	registerPauseMax = time.Second
)

// enrollment registers lives with the leader, this process's own and those of
// frontends attached to it.
type enrollment struct {
	route *leaderRoute
}

// register repeats a registration until it is answered for good. Repeating is
// safe: the same incarnation gets the stored result. say is told what it waits for.
func (e *enrollment) register(ctx context.Context, up *fsmpb.ServerUp, say func(string)) (*peerpb.RegisterResponse, error) {
	for pause := registerPauseMin; ; pause = min(2*pause, registerPauseMax) {
		_, changed := e.route.consensus.leadership()
		resp, err := e.attempt(ctx, up)
		switch {
		case err != nil:
			say("registration waits: " + err.Error())
		case resp.GetDisposition() == peerpb.Disposition_DISPOSITION_REFUSED:
			return nil, fmt.Errorf("%w: %s", ErrRefused, resp.GetReason())
		case resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED:
			say("registration waits: " + resp.GetReason())
		case fsm.UpOutcome(resp.GetResult()) == fsm.UpSuperseded:
			// The record changed after we looked. A dead process's late registration
			// ends here; we are alive, so we look again. If another live process has
			// taken the sid, the leader finds it and refuses.
			up.Seen = 0
			say("registration waits: the sid's record has just changed")
		default:
			say("")
			return resp, nil
		}
		e.route.pause(ctx, changed, pause)
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
	}
}

func (e *enrollment) attempt(ctx context.Context, up *fsmpb.ServerUp) (*peerpb.RegisterResponse, error) {
	leader, err := e.route.leader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := e.route.follow(ctx, registerTimeout)
	defer cancel()
	// seen is read from the leader before the first sending and kept while the
	// same message is repeated.
	if up.Seen == 0 {
		pong, err := leader.Ping(ctx, &peerpb.PingRequest{})
		if err != nil {
			return nil, fmt.Errorf("ask the leader how far it is: %w", err)
		}
		if !pong.GetLeader() {
			return nil, ErrNoLeader
		}
		up.Seen = pong.GetApplied()
	}
	data, err := proto.Marshal(up)
	if err != nil {
		return nil, fmt.Errorf("encode registration: %w", err)
	}
	return leader.Register(ctx, &peerpb.RegisterRequest{ServerUp: data})
}

// end ends a life. epoch is 0 where the registration was never answered: it may
// have been committed all the same, and repeating it tells which life that was.
func (e *enrollment) end(ctx context.Context, up *fsmpb.ServerUp, epoch uint64) error {
	if epoch == 0 {
		if up.GetSeen() == 0 {
			return nil // never sent
		}
		resp, err := e.register(ctx, up, func(string) {})
		if errors.Is(err, ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		epoch = resp.GetEpoch()
	}
	return e.unregister(ctx, &peerpb.UnregisterRequest{Sid: up.GetSid(), Epoch: epoch, ViaEpoch: up.GetViaEpoch()})
}

// unregister ends a life, repeating until the leader has answered or ctx ends.
func (e *enrollment) unregister(ctx context.Context, req *peerpb.UnregisterRequest) error {
	for pause := registerPauseMin; ; pause = min(2*pause, registerPauseMax) {
		_, changed := e.route.consensus.leadership()
		err := e.tryUnregister(ctx, req)
		if err == nil {
			return nil
		}
		e.route.pause(ctx, changed, pause)
		if ctx.Err() != nil {
			return fmt.Errorf("end the life of %s: %w", req.GetSid(), err)
		}
	}
}

func (e *enrollment) tryUnregister(ctx context.Context, req *peerpb.UnregisterRequest) error {
	leader, err := e.route.leader()
	if err != nil {
		return err
	}
	ctx, cancel := e.route.follow(ctx, registerTimeout)
	defer cancel()
	resp, err := leader.Unregister(ctx, req)
	if err != nil {
		return err
	}
	if resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED {
		return fmt.Errorf("not committed: %s", resp.GetDisposition())
	}
	return nil
}

// life is this process's own registered existence.
type life struct {
	server Server // Epoch is 0; see epoch
	enroll *enrollment

	mu      sync.Mutex // guards all below
	cancel  context.CancelFunc
	stopped bool
	tried   chan struct{} // non-nil once registration began; closed when it is through
	up      *fsmpb.ServerUp
	epoch   uint64
	index   uint64 // of the registration
	problem string
	err     error
	ready   chan struct{} // closed once registered or refused
}

func newLife(s Server, e *enrollment) *life {
	return &life{server: s, enroll: e, ready: make(chan struct{})}
}

// begin registers the life. It returns the number of the last batch that the
// state has of it, 0 for a new one.
func (l *life) begin(ctx context.Context) (last uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up := &fsmpb.ServerUp{
		Sid: l.server.SID, Stype: l.server.SType, Zone: l.server.Zone,
		NodeId: l.server.NodeID, Incarnation: l.server.Incarnation, Addr: l.server.Addr,
	}
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return 0, ErrClosed
	}
	l.cancel, l.up, l.tried = cancel, up, make(chan struct{})
	l.mu.Unlock()
	defer close(l.tried)
	resp, err := l.enroll.register(ctx, up, l.say)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ready: // the node has ended meanwhile; current reads what follows without a lock
		return 0, l.err
	default:
	}
	l.epoch, l.index = resp.GetEpoch(), resp.GetIndex()
	return resp.GetLastNumber(), nil
}

// stop ends the registration if it is still under way. A life that was closed
// while it came into being must not be left behind.
func (l *life) stop() {
	l.mu.Lock()
	l.stopped = true
	cancel, tried := l.cancel, l.tried
	l.mu.Unlock()
	if tried != nil {
		cancel()
		<-tried
	}
}

// end ends the life, after stop, if there is or may be one.
func (l *life) end(ctx context.Context) error {
	l.mu.Lock()
	up, epoch := l.up, l.epoch
	l.mu.Unlock()
	if up == nil {
		return nil
	}
	return l.enroll.end(ctx, up, epoch)
}

// open lets callers in: the life is registered, or err says why it never will be.
func (l *life) open(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ready:
	default:
		l.err = err
		close(l.ready)
	}
}

// wait returns the epoch once the life is registered.
func (l *life) wait(ctx context.Context) (uint64, error) {
	select {
	case <-l.ready:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.epoch, l.err
	case <-ctx.Done():
		return 0, ended(ctx)
	}
}

// current returns the epoch once the life is registered and callers are let in. It
// takes no lock: epoch and err are written before ready is closed, and never after.
func (l *life) current() (epoch uint64, ok bool) {
	select {
	case <-l.ready:
		return l.epoch, l.err == nil
	default:
		return 0, false
	}
}

// now returns the epoch, 0 before registration, and what registration waits for.
func (l *life) now() (epoch uint64, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, l.problem
}

func (l *life) registered() (epoch, index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch, l.index
}

func (l *life) say(problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = problem
}

// watch returns when the replica shows that the life is over, or ctx ends.
func (l *life) watch(ctx context.Context, r *fsm.Replica) (over bool) {
	epoch, _ := l.registered()
	return watchServer(ctx, r, l.server.SID, func(now fsm.Server) bool {
		// A replica that lags still shows an earlier life, or none.
		return now.Epoch > epoch || now.Epoch == epoch && !now.Up
	})
}

// watchServer waits until the record of sid in the replica is what is looked
// for; false if ctx ended first.
func watchServer(ctx context.Context, r *fsm.Replica, sid string, found func(fsm.Server) bool) bool {
	for {
		changed := r.ServersChanged()
		var now fsm.Server
		r.View(func(s *fsm.State) { now, _ = s.Server(sid) })
		if found(now) {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
