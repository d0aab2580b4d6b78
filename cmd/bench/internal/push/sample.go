package push

import (
	"context"
	"errors"
	"fmt"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// Sample is one case in one run.
type Sample struct {
	PushesPerS float64
	P50us      float64
	P99us      float64
	CPUus      float64 // per push, of all processes
	Allocated  float64 // bytes per push and frontend, by both ends, beyond what is allocated without pushes
	Wire       float64 // bytes per push and frontend, sent and received by the pusher, beyond the message and what is sent without pushes
	ChangesPS  float64 // of all the channels
	Strangers  float64 // percent of one core, processes that have nothing to do with it
	Errors     uint64
	Error      string
}

const (
	changers = 4
	// A changer has one member in; one that it was stopped at may be in yet.
	spare = 2 * changers
)

// casesOf measures the cases of a part, both ways in turns.
func casesOf(cases func(by string) []Case) func(*bench, context.Context, *world, int) error {
	return func(b *bench, ctx context.Context, w *world, run int) error {
		ways := b.options.ways(run)
		first := cases(ways[0])[0]
		if err := b.gather(ctx, w, first.shape()); err != nil {
			return err
		}
		quiet, err := b.idle(ctx, w, w.pusherOf(first))
		if err != nil {
			return err
		}
		for i := range cases(ways[0]) {
			for _, by := range ways {
				k := cases(by)[i]
				s, err := b.sample(ctx, w, k, quiet)
				if err != nil {
					return fmt.Errorf("%v: %w", k, err)
				}
				b.note(run, k, s)
			}
		}
		return nil
	}
}

func (w *world) pusherOf(k Case) *proc.Process {
	if k.Counted {
		return w.counting
	}
	return w.pusher
}

// sample measures one case, and checks that every push was delivered to everybody. What
// is counted is counted before the first push and after the last answer: where pushes
// take seconds, those that end within a given time are many or few by chance.
func (b *bench) sample(ctx context.Context, w *world, k Case, quiet idle) (s Sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+b.options.Duration)
	defer cancel()
	pusher := w.pusherOf(k)
	before, err := w.count(ctx, pusher)
	if err != nil {
		return s, err
	}
	var pushed, changed load.Result
	if k.Changing {
		pushed, changed, err = b.withChanges(ctx, w, k)
	} else {
		pushed, err = b.pushes(ctx, w, k)
	}
	if err != nil {
		return s, err
	}
	after, err := w.count(ctx, pusher)
	if err != nil {
		return s, err
	}
	s = sampleOf(k, pushed, before, after, quiet)
	s.changes(changed)
	return s, check(before, after, len(w.frontends), w.members(k.shape()), k.spare())
}

// spare is how many members a channel may have beyond its own.
func (k Case) spare() int {
	if k.Changing {
		return spare
	}
	return 0
}

// pushes has the callers push, and returns when none of them does any more.
func (b *bench) pushes(ctx context.Context, w *world, k Case) (r load.Result, err error) {
	pusher := w.pusherOf(k)
	l := server.Load{Callers: k.Callers, WarmUp: b.options.WarmUp, Push: &server.Push{
		By: k.By, Route: server.RouteMeasured, Channels: k.shape().names(k.Channels),
		Members: w.members(k.shape()), Spare: k.spare(), Bytes: msgBytes,
	}}
	if err := pusher.Call(ctx, server.Begin, l, nil); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, pusher.Call(ctx, server.Finish, server.Named{}, nil)) }()
	err = pusher.Call(ctx, server.Measure, server.Span{Duration: b.options.Duration}, &r)
	return r, err
}

// withChanges has the channels change while the callers push. For the node a frontend
// changes them: whoever pushes is then not who knows best.
func (b *bench) withChanges(ctx context.Context, w *world, k Case) (pushed, changed load.Result, err error) {
	p := w.pusher
	if k.By == server.ByNode {
		p = w.frontends[0]
	}
	l := server.Load{
		Name: "changes", Callers: changers, Rate: b.options.Churn,
		Churn: &server.Churn{Channels: k.shape().names(k.Channels), SIDs: w.on(k.shape())},
	}
	if err := p.Call(ctx, server.Begin, l, nil); err != nil {
		return pushed, changed, err
	}
	defer func() { err = errors.Join(err, p.Call(ctx, server.Finish, server.Named{Name: l.Name}, nil)) }()
	measured := make(chan error, 1)
	go func() {
		measured <- p.Call(ctx, server.Measure, server.Span{Name: l.Name, Duration: b.options.WarmUp + b.options.Duration}, &changed)
	}()
	pushed, err = b.pushes(ctx, w, k)
	err = errors.Join(err, <-measured) // before changed is read
	return pushed, changed, err
}

// changes adds those that went on beside.
func (s *Sample) changes(r load.Result) {
	if r.Seconds > 0 {
		s.ChangesPS = float64(r.Ops) / r.Seconds
	}
	if s.Errors += r.Errors; s.Error == "" {
		s.Error = r.Error
	}
}

// sampleOf divides what each process spent between its own two counts by the pushes
// that it saw between them.
func sampleOf(k Case, r load.Result, from, to counts, quiet idle) Sample {
	took := (to.pusher.At - from.pusher.At).Seconds()
	s := Sample{PushesPerS: float64(to.pusher.Pushes-from.pusher.Pushes) / took, P50us: r.P50us, P99us: r.P99us, Errors: r.Errors, Error: r.Error}
	pushes := float64(to.pusher.Pushes + to.pusher.Failed - from.pusher.Pushes - from.pusher.Failed)
	if pushes == 0 {
		return s
	}
	all, own := pushes*float64(len(to.frontends)), spentBetween(from.pusher, to.pusher)
	s.Allocated = took * (own.allocated - quiet.pusher.allocated) / all
	if k.Counted {
		s.Wire = took*(own.tcp-quiet.pusher.tcp)/all - msgBytes
	}
	cpu := to.pusher.CPU - from.pusher.CPU
	var allocated, deliveries float64
	for i, b := range to.frontends {
		a := from.frontends[i]
		cpu += b.CPU - a.CPU
		allocated += (b.At - a.At).Seconds() * (spentBetween(a, b).allocated - quiet.frontends[i].allocated)
		deliveries += float64(b.Deliveries - a.Deliveries)
	}
	s.CPUus = float64(cpu.Microseconds()) / pushes
	s.Strangers = 100 * max(0, (to.busy-from.busy-cpu).Seconds()) / (to.at - from.at).Seconds()
	if deliveries > 0 {
		s.Allocated += allocated / deliveries
	}
	return s
}

// note keeps a sample.
func (b *bench) note(run int, k Case, s Sample) {
	b.progress("  %s: %s pushes/s, p50 %s ms, p99 %s ms%s", k, report.Short(s.PushesPerS), inMs(s.P50us), inMs(s.P99us), report.Quoted(s.Error))
	for _, r := range b.rows {
		if r.Case == k {
			r.samples[run] = s
			return
		}
	}
	b.rows = append(b.rows, &Row{Case: k, samples: map[int]Sample{run: s}})
}
