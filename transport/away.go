package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// follower is what a Courier knows of one follower.
type follower struct {
	id    raft.ServerID
	reach Reach

	mu      sync.Mutex    // guards all below
	present chan struct{} // closed while the peer is not away
	last    receipt
}

// failed notes that a call failed: the next one waits.
func (f *follower) failed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = receipt{}
	select {
	case <-f.present:
		f.present = make(chan struct{})
	default:
	}
}

// arrived notes that the peer can be reached.
func (f *follower) arrived() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrivedLocked()
}

func (f *follower) arrivedLocked() {
	select {
	case <-f.present:
	default:
		close(f.present)
	}
}

// beat notes what became of a heartbeat.
func (f *follower) beat(err error, resp *raft.AppendEntriesResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || !resp.Success {
		f.last = receipt{}
	}
	if err == nil {
		f.arrivedLocked()
	}
}

// await returns at once if the peer is not away, else when it answers a probe or
// a heartbeat, or after limit (0: none). held: it took more than one probe. An
// error: this node stepped down, or the peer is none any more. After led has
// ended nothing is held: what still goes out fails by itself.
func (f *follower) await(led context.Context, addr raft.ServerAddress, limit time.Duration) (held bool, err error) {
	f.mu.Lock()
	present := f.present
	f.mu.Unlock()
	select {
	case <-present:
		return false, nil
	default:
	}
	if led.Err() != nil {
		return false, nil
	}
	var expired <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		expired = t.C
	}
	for ; ; held = true {
		switch err := f.probe(led, addr); {
		case err == nil:
			f.arrived()
			return held, nil
		case errors.Is(err, ErrNoPeer):
			return held, err
		}
		again := time.NewTimer(probePause)
		select {
		case <-again.C:
			continue
		case <-present:
		case <-expired:
		case <-led.Done():
			err = steppedDown(f.id)
		}
		again.Stop()
		return true, err
	}
}

func (f *follower) probe(ctx context.Context, addr raft.ServerAddress) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return f.reach.Probe(ctx, f.id, addr)
}

// watched runs a call. If it takes long, and the peer was away for more than
// outage meanwhile, the call is cut when the peer is back.
func (f *follower) watched(led context.Context, addr raft.ServerAddress, outage time.Duration, call func() error) error {
	ctx, cancel := context.WithCancel(led)
	done := make(chan struct{})
	slow := time.AfterFunc(slowCall, func() {
		defer close(done)
		if f.returned(ctx, addr, outage) {
			f.reach.Cut(f.id)
		}
	})
	err := call()
	cancel()
	if !slow.Stop() {
		<-done
	}
	return err
}

// returned probes until the peer was away for longer than outage and is back. It
// returns false when ctx ends.
func (f *follower) returned(ctx context.Context, addr raft.ServerAddress, outage time.Duration) bool {
	var away time.Time // since when; zero while it is not
	for {
		begun := time.Now()
		err := f.probe(ctx, addr)
		wait := probePause
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil && away.IsZero():
			away = begun
		case err == nil && !away.IsZero() && begun.Sub(away) > outage:
			return true
		case err == nil:
			away, wait = time.Time{}, probePauseSlow
		}
		if !pause(ctx, wait) {
			return false
		}
	}
}
