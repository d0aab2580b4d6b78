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
	stalled bool          // it is away, but only Raft there: it answers probes
	beaten  time.Time     // when it last answered a heartbeat
	last    receipt
	changed chan struct{} // closed when last is another one; nil: nobody waits for that
}

// failed notes that a call failed: the next one waits, and if the peer stalled,
// longer than for a probe.
func (f *follower) failed(stalled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteLocked(receipt{})
	f.stalled = stalled
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
	f.stalled = false
	select {
	case <-f.present:
	default:
		close(f.present)
	}
}

// beat notes what became of a heartbeat.
func (f *follower) beat(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, sent time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil || !resp.Success:
		f.noteLocked(receipt{})
	case f.last.term == req.Term && resp.Term == req.Term && sent.After(f.last.alive):
		f.last.alive = sent
	}
	if err == nil {
		f.beaten = time.Now()
		f.arrivedLocked()
	}
}

func (f *follower) lastBeat() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beaten
}

// await returns at once if the peer is not away, else when it answers a probe or
// a heartbeat, or after limit (0: none). If it stalled, it must answer a heartbeat,
// or have been away for longer than outageOfStalled, and there is no limit: a call
// would get no further than a heartbeat. held: it took more than one probe. An
// error: this node stepped down, or the peer is none any more. After led has
// ended nothing is held: what still goes out fails by itself.
func (f *follower) await(led context.Context, addr raft.ServerAddress, limit time.Duration) (held bool, err error) {
	f.mu.Lock()
	present, stalled := f.present, f.stalled
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
	if limit > 0 && !stalled {
		t := time.NewTimer(limit)
		defer t.Stop()
		expired = t.C
	}
	var silent time.Time // since when; zero while probes are answered
	for ; ; held = true {
		begun, wait := time.Now(), probePause
		failure := f.probe(led, addr)
		switch {
		case errors.Is(failure, ErrNoPeer):
			return held, failure
		case failure != nil && silent.IsZero():
			silent = begun
		case failure != nil:
		case !stalled, !silent.IsZero() && begun.Sub(silent) > outageOfStalled:
			f.arrived()
			return held, nil
		default:
			silent, wait = time.Time{}, probePauseSlow
		}
		again := time.NewTimer(wait)
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

// watched runs a call. If it takes long, and the peer gave no sign of life for more
// than outage meanwhile, the call is cut when the peer is back. stalled: it took
// long, and the peer answered probes to the end.
func (f *follower) watched(led context.Context, addr raft.ServerAddress, outage time.Duration, call func() error) (stalled bool, err error) {
	ctx, cancel := context.WithCancel(led)
	done := make(chan struct{})
	slow := time.AfterFunc(slowCall, func() {
		defer close(done)
		var returned bool
		if returned, stalled = f.watch(ctx, addr, outage); returned {
			f.reach.Cut(f.id)
		}
	})
	err = call()
	cancel()
	if !slow.Stop() {
		<-done
	}
	return stalled, err
}

// watch probes until the peer is back after it gave no sign of life for longer
// than outage: returned. If ctx ends before, answers tells of the last probe.
func (f *follower) watch(ctx context.Context, addr raft.ServerAddress, outage time.Duration) (returned, answers bool) {
	var silent time.Time // since when; zero while probes are answered
	for {
		begun := time.Now()
		err := f.probe(ctx, addr)
		if ctx.Err() != nil {
			return false, answers
		}
		answers = err == nil
		if !answers && silent.IsZero() {
			silent = begun
		}
		if !silent.IsZero() {
			sign := begun
			if beat := f.lastBeat(); beat.After(silent) {
				sign = beat
			} else if !answers {
				sign = silent
			}
			if sign.Sub(silent) > outage {
				return true, false
			}
			silent = sign
		}
		wait := probePause
		if answers {
			silent, wait = time.Time{}, probePauseSlow
		}
		if !pause(ctx, wait) {
			return false, answers
		}
	}
}
