package push

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// counts are what the processes have done and spent.
type counts struct {
	pusher    server.Tally
	frontends []server.Tally
	at, busy  time.Duration // the clock, and the CPU time of the whole machine
}

// count asks all processes at once.
func (w *world) count(ctx context.Context, pusher *proc.Process) (c counts, err error) {
	c.frontends = make([]server.Tally, len(w.frontends))
	what := server.Counting{Route: server.RouteMeasured}
	asked := make(chan error, 1)
	go func() { asked <- pusher.Call(ctx, server.Count, what, &c.pusher) }()
	err = w.each(func(i int, p *proc.Process) error { return p.Call(ctx, server.Count, what, &c.frontends[i]) })
	if err = errors.Join(err, <-asked); err != nil {
		return c, err
	}
	c.at = meter.Now()
	c.busy, err = meter.Busy()
	return c, err
}

// check compares what was pushed with what was delivered, when no push is
// outstanding. A push that failed may have reached anybody.
func check(before, after counts, frontends, members, spare int) error {
	pushes, failed := after.pusher.Pushes-before.pusher.Pushes, after.pusher.Failed-before.pusher.Failed
	var deliveries, uids uint64
	for i, f := range after.frontends {
		deliveries += f.Deliveries - before.frontends[i].Deliveries
		uids += f.UIDs - before.frontends[i].UIDs
	}
	within := func(got uint64, least, most int) bool {
		return got >= pushes*uint64(least) && got <= (pushes+failed)*uint64(most)
	}
	if !within(deliveries, frontends, frontends) || !within(uids, members, members+spare) {
		return fmt.Errorf("WRONG COUNT: %d pushes to %d members on %d frontends, and %d that failed, made %d deliveries to %d members",
			pushes, members, frontends, failed, deliveries, uids)
	}
	return nil
}

// idle is what the processes spend without pushes.
type idle struct {
	pusher    spent
	frontends []spent
}

// spent is per second.
type spent struct{ allocated, tcp float64 }

func spentBetween(a, b server.Tally) spent {
	s := (b.At - a.At).Seconds()
	return spent{float64(b.Memory.Allocated-a.Memory.Allocated) / s, float64(b.TCP-a.TCP) / s}
}

func idleBetween(a, b counts) idle {
	i := idle{pusher: spentBetween(a.pusher, b.pusher)}
	for n, f := range b.frontends {
		i.frontends = append(i.frontends, spentBetween(a.frontends[n], f))
	}
	return i
}

// orLess takes the less of both, for each process.
func (i idle) orLess(o idle) idle {
	less := idle{pusher: i.pusher.orLess(o.pusher)}
	for n, f := range i.frontends {
		less.frontends = append(less.frontends, f.orLess(o.frontends[n]))
	}
	return less
}

func (s spent) orLess(o spent) spent { return spent{min(s.allocated, o.allocated), min(s.tcp, o.tcp)} }

const idleParts = 4

// idle watches them for as long as a case is measured, and keeps the least that it ever
// saw: where a server happens to take a snapshot, or reclaims, it is not idle.
func (b *bench) idle(ctx context.Context, w *world, pusher *proc.Process) (idle, error) {
	least, known := w.idle[pusher]
	before, err := w.count(ctx, pusher)
	if err != nil {
		return idle{}, err
	}
	for range idleParts {
		pause(ctx, b.options.Duration/idleParts)
		after, err := w.count(ctx, pusher)
		if err != nil {
			return idle{}, err
		}
		now := idleBetween(before, after)
		if known {
			now = least.orLess(now)
		}
		least, known, before = now, true, after
	}
	w.idle[pusher] = least
	return least, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
