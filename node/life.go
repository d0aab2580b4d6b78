package node

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// life is this process's own registered existence. It may be declared over while
// the process lives on, and is then registered again.
type life struct {
	server Server // Epoch is 0; see epoch
	enroll *enrollment
	told   chan uint64 // one slot: somebody says that the life of that epoch is over

	epoch atomic.Uint64 // 0 until registered; the last one while a new one is asked for

	mu      sync.Mutex // guards all below
	cancel  context.CancelFunc
	stopped bool
	tried   chan struct{} // non-nil once registration began; closed when it is through
	up      *fsmpb.ServerUp
	sure    bool   // up was answered
	index   uint64 // of the registration
	fenced  bool   // declared over, and not registered again yet
	problem string
	moved   chan struct{} // closed when a new life begins
	err     error
	ready   chan struct{} // closed once registered for the first time, or refused
}

func newLife(s Server, e *enrollment) *life {
	return &life{server: s, enroll: e, told: make(chan uint64, 1), moved: make(chan struct{}), ready: make(chan struct{})}
}

// register registers the life, the first or, with resume, the next one of this
// process.
func (l *life) register(ctx context.Context, resume *fsmpb.Resume) (*peerpb.RegisterResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up := &fsmpb.ServerUp{
		Sid: l.server.SID, Stype: l.server.SType, Zone: l.server.Zone,
		NodeId: l.server.NodeID, Incarnation: l.server.Incarnation, Addr: l.server.Addr,
		Resume: resume,
	}
	tried := make(chan struct{})
	defer close(tried)
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	l.cancel, l.up, l.sure, l.tried = cancel, up, false, tried
	l.mu.Unlock()
	resp, err := l.enroll.register(ctx, up, l.say, nothingNew)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil { // the node has ended meanwhile
		return nil, l.err
	}
	l.sure, l.fenced, l.index = true, false, resp.GetIndex()
	l.epoch.Store(resp.GetEpoch())
	close(l.moved)
	l.moved = make(chan struct{})
	return resp, nil
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
	up, sure := l.up, l.sure
	l.mu.Unlock()
	if up == nil {
		return nil
	}
	epoch := uint64(0)             // nobody knows
	if sure || up.GetSeen() == 0 { // answered, or never sent: then the one before may be up yet
		if epoch = l.epoch.Load(); epoch == 0 {
			return nil
		}
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
		return l.epoch.Load(), l.err
	case <-ctx.Done():
		return 0, ended(ctx)
	}
}

// reach waits until the life is at least of that epoch: a registration that others
// show may not have been answered here yet.
func (l *life) reach(ctx context.Context, least uint64) (uint64, error) {
	if epoch, ok := l.current(); ok && epoch >= least {
		return epoch, nil
	}
	for {
		l.mu.Lock()
		moved := l.moved
		l.mu.Unlock()
		epoch, err := l.wait(ctx)
		if err != nil || epoch >= least {
			return epoch, err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return epoch, nil
		}
	}
}

// current returns the epoch once the life is registered and callers are let in. It
// takes no lock: err is written before ready is closed, and never after. While the
// life is registered again it is the old one, which the state takes for this
// process too.
func (l *life) current() (epoch uint64, ok bool) {
	select {
	case <-l.ready:
		return l.epoch.Load(), l.err == nil
	default:
		return 0, false
	}
}

// now returns the epoch, 0 before registration, and what registration waits for.
func (l *life) now() (epoch uint64, problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch.Load(), l.problem
}

func (l *life) registered() (epoch, index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch.Load(), l.index
}

func (l *life) say(problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = problem
	if l.fenced && problem != "" {
		l.problem = "this life was declared over, " + problem
	}
}

// isFenced reports that this life was declared over and no other has begun.
func (l *life) isFenced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fenced
}

// isReady reports that players may be let in.
func (l *life) isReady() bool {
	_, open := l.current()
	return open && !l.isFenced()
}

// fence marks the life as over.
func (l *life) fence() {
	l.mu.Lock()
	l.fenced = true
	l.mu.Unlock()
	l.say("registering again")
}

// toldOver takes somebody's word that the life is over, or that the state has
// another one of this process. It may be old news: who registers again because of
// it finds the life as it is.
func (l *life) toldOver(epoch uint64) {
	for {
		select {
		case l.told <- epoch:
			return
		default:
		}
		select {
		case before := <-l.told:
			epoch = max(epoch, before)
		default:
		}
	}
}

// watch returns when the replica shows, or somebody has said, that the life is
// over; false if ctx ends first.
func (l *life) watch(ctx context.Context, r *fsm.Replica) (over bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	epoch, index := l.registered()
	shown := make(chan bool, 1)
	go func() { shown <- watchServer(ctx, r, l.server.SID, isOver(epoch, index)) }()
	for {
		select {
		case over := <-shown:
			return over
		case which := <-l.told:
			if which < epoch {
				continue
			}
			cancel()
			<-shown
			return true
		}
	}
}

// isOver finds that the life that was registered at index is over. A replica that lags
// still shows an earlier one, or none; one that does not, and shows none, has forgotten it.
func isOver(epoch, index uint64) func(fsm.Server, bool, uint64) bool {
	return func(now fsm.Server, known bool, applied uint64) bool {
		if !known {
			return applied >= index
		}
		return now.Epoch > epoch || now.Epoch == epoch && !now.Up
	}
}

// watchServer waits until the record of sid in the replica is what is looked
// for; false if ctx ended first.
func watchServer(ctx context.Context, r *fsm.Replica, sid string, found func(now fsm.Server, known bool, applied uint64) bool) bool {
	for {
		changed := r.ServersChanged()
		var is bool
		r.Read(func(s fsm.Reads) {
			now, known := s.Server(sid)
			is = found(now, known, s.Index())
		})
		if is {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
