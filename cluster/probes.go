package cluster

import (
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlist's Shutdown does not wait: a probe whose answer does not come sleeps
// on for its whole interval, and a probe made for somebody else for its timeout.
// Nothing outlives Close here, so probes learns of both where they must pass:
// memberlist's packet writes tell by their caller that one begins, and the ping
// delegate that it was answered. Without knowing, every Close would have to wait
// for the longest probe; knowing, it waits only if one is really under way.
const (
	probeInterval    = time.Second
	probeTimeout     = 500 * time.Millisecond
	maxAwareness     = 2 // memberlist stretches its probe interval at most this much
	longestProbe     = maxAwareness * probeInterval
	probeFunction    = "memberlist.(*Memberlist).probeNode"
	indirectFunction = "memberlist.(*Memberlist).handleIndirectPing"
)

type probes struct {
	mu       sync.Mutex    // guards what follows
	pending  bool          // a probe was sent and not answered; memberlist makes one at a time
	until    time.Time     // when that probe has given up
	indirect time.Time     // when the last probe for somebody else has given up
	answered chan struct{} // closed when the pending probe's answer came
	quiet    bool          // no new one begins
}

func newProbes() *probes { return &probes{answered: make(chan struct{})} }

// sending is called in the goroutine that writes a packet. On a quiet wire the
// write fails, upon which memberlist gives a new probe up at once. Whether it is
// quiet is decided in the same step that notes the probe: one that was let through
// and is not noted yet would outlive the wait for it.
func (p *probes) sending() (quiet bool) {
	kind := sender()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch now := time.Now(); {
	case kind == indirectFunction: // sleeps for an answer even if it could not ask
		p.indirect = now.Add(probeTimeout)
	case kind == probeFunction && !p.quiet:
		p.pending, p.until = true, now.Add(longestProbe)
	}
	return p.quiet
}

// quiesce lets no new probe begin.
func (p *probes) quiesce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quiet = true
}

// done: the pending probe has ended before its time.
func (p *probes) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending = false
	close(p.answered)
	p.answered = make(chan struct{})
}

// wait returns when no goroutine of memberlist sleeps on a probe any more. The
// wire is quiet by now, so no new one sleeps; bounded by longestProbe.
func (p *probes) wait() {
	for {
		p.mu.Lock()
		until, answered := p.indirect, p.answered
		if p.pending && p.until.After(until) {
			until = p.until
		}
		p.mu.Unlock()
		left := time.Until(until)
		if left <= 0 {
			return
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-answered:
			t.Stop()
		}
	}
}

// sender names which of the two functions is writing, "" for any other.
func sender() string {
	var pcs [12]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, probeFunction) {
			return probeFunction
		}
		if strings.HasSuffix(f.Function, indirectFunction) {
			return indirectFunction
		}
		if !more {
			return ""
		}
	}
}

// The delegate half: memberlist.PingDelegate.

func (p *probes) AckPayload() []byte { return nil }

func (p *probes) NotifyPingComplete(*memberlist.Node, time.Duration, []byte) { p.done() }
