package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	besideTimeout = time.Second // of pushes to everybody, the stalled frontend's members too
	recoverEvery  = 200 * time.Millisecond
	recoverWithin = time.Minute
	beside        = "beside"
	mega          = 1e6
)

// Stall is what one stalled frontend did to the pushes that are not for it.
type Stall struct {
	Calm     load.Result `json:"calm"`    // before
	Stalled  load.Result `json:"stalled"` // from the moment on at which it stalled
	Objects  float64     `json:"objects_mb"`
	Resident float64     `json:"resident_mb"` // both: how much the pusher's memory had grown at the end
	Recovery float64     `json:"recovery_s"`  // until pushes reached everybody again, to within 0.2 s
}

// stalled measures pushes at a steady rate to channels without members on the last
// frontend, beside as many to channels that have some there: first while all is well,
// then while that frontend is suspended.
func (b *bench) stalled(ctx context.Context, w *world, _ int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+2*b.options.Duration)
	defer cancel()
	for _, s := range []shape{small, nine} {
		if err := b.gather(ctx, w, s); err != nil {
			return err
		}
	}
	before, err := w.count(ctx, w.pusher)
	if err != nil {
		return err
	}
	s, err := b.stall(ctx, w)
	if err != nil {
		return err
	}
	if s.Recovery, err = b.recovery(ctx, w); err != nil {
		return err
	}
	after, err := w.count(ctx, w.pusher)
	if err != nil {
		return err
	}
	b.progress("  p99 %s ms, stalled %s ms, %d errors; the pusher grew by %.1f MB (resident: %.1f)",
		inMs(s.Calm.P99us), inMs(s.Stalled.P99us), s.Stalled.Errors, s.Objects, s.Resident)
	b.stalls = append(b.stalls, s)
	return check(before, after, len(w.on(nine)), w.members(nine), 0)
}

func (b *bench) stall(ctx context.Context, w *world) (s Stall, err error) {
	for _, l := range b.stallLoads(w) {
		if err := w.pusher.Call(ctx, server.Begin, l, nil); err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, w.pusher.Call(ctx, server.Finish, server.Named{Name: l.Name}, nil)) }()
	}
	if s.Calm, err = b.watch(ctx, w); err != nil {
		return s, err
	}
	before, err := pusherMemory(ctx, w)
	if err != nil {
		return s, err
	}
	last := w.frontends[len(w.frontends)-1]
	if err := last.Suspend(); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, last.Resume()) }() // before the loads end
	if s.Stalled, err = b.watch(ctx, w); err != nil {
		return s, err
	}
	after, err := pusherMemory(ctx, w)
	s.Objects = grown(before.Memory.Objects, after.Memory.Objects)
	s.Resident = grown(before.Memory.Resident, after.Memory.Resident)
	return s, err
}

func grown(before, after uint64) float64 { return (float64(after) - float64(before)) / mega }

// stallLoads have so many callers that none is missing while all that push to everybody
// run into their timeouts.
func (b *bench) stallLoads(w *world) []server.Load {
	loadOf := func(name, route string, s shape, timeout time.Duration) server.Load {
		return server.Load{
			Name: name, Callers: b.options.Rate * 3 / 2, Rate: b.options.Rate, WarmUp: b.options.WarmUp,
			Push: &server.Push{By: server.ByNode, Route: route, Channels: s.names(s.channels), Members: w.members(s), Bytes: msgBytes, Timeout: timeout},
		}
	}
	return []server.Load{loadOf(beside, server.RouteBeside, small, besideTimeout), loadOf("", server.RouteMeasured, nine, 0)}
}

// watch measures the pushes to the others.
func (b *bench) watch(ctx context.Context, w *world) (r load.Result, err error) {
	err = w.pusher.Call(ctx, server.Measure, server.Span{Duration: b.options.Duration}, &r)
	return r, err
}

// pusherMemory is of objects in use.
func pusherMemory(ctx context.Context, w *world) (t server.Tally, err error) {
	err = w.pusher.Call(ctx, server.Count, server.Counting{Route: server.RouteMeasured, Collect: true}, &t)
	return t, err
}

// recovery waits until pushes reach everybody again.
func (b *bench) recovery(ctx context.Context, w *world) (seconds float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	began := time.Now()
	probe := b.stallLoads(w)[0]
	probe.Callers, probe.Rate, probe.WarmUp = 1, 0, 0
	for {
		r, err := tried(ctx, w.pusher, probe)
		if err != nil {
			return 0, fmt.Errorf("after a stall: %w", err)
		}
		if r.Errors == 0 && r.Ops > 0 {
			return time.Since(began).Seconds(), nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("after a stall pushes did not reach everybody again: %s", r.Error)
		}
	}
}

// tried makes a load for a short time.
func tried(ctx context.Context, p *proc.Process, l server.Load) (r load.Result, err error) {
	if err := p.Call(ctx, server.Begin, l, nil); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Call(ctx, server.Finish, server.Named{Name: l.Name}, nil)) }()
	err = p.Call(ctx, server.Measure, server.Span{Name: l.Name, Duration: recoverEvery}, &r)
	return r, err
}
