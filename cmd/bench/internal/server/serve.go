package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
)

// target is what the callers call.
type target interface {
	fill(ctx context.Context) error
	step(l Load) (func(caller int) load.Step, error)
	look() View
	foreignCPU(ctx context.Context) (time.Duration, error) // spent in a process that is not ours
	close() error
}

// child is the state of one process.
type child struct {
	appends *meter.Appends
	traffic *meter.Traffic

	mu     sync.Mutex // guards all below
	target target
	runs   map[string]*load.Run // by name
	closed bool
	pulse  *pulse
}

// Run answers the parent until in ends. A server that is open then is simply left:
// the process ends, and its data is about to be thrown away.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	appends, err := meter.CountAppends()
	if err != nil {
		return err
	}
	c := &child{appends: appends, traffic: &meter.Traffic{}, runs: make(map[string]*load.Run)}
	err = proc.Serve(ctx, in, out, map[string]proc.Handler{
		OpenNode:     proc.Handle(c.openNode),
		OpenCrew:     proc.Handle(c.openCrew),
		OpenRaft:     proc.Handle(c.openRaft),
		OpenRedis:    proc.Handle(c.openRedis),
		Look:         proc.Handle(c.look),
		CatchUp:      proc.Handle(c.catchUp),
		Fill:         proc.Handle(c.fill),
		Empty:        proc.Handle(c.empty),
		Stock:        proc.Handle(c.stock),
		Begin:        proc.Handle(c.begin),
		Measure:      proc.Handle(c.measure),
		Finish:       proc.Handle(c.finish),
		Read:         proc.Handle(c.read),
		Profile:      proc.Handle(c.profile),
		Close:        proc.Handle(c.close),
		Arrive:       proc.Handle(c.newcomer),
		PulseStart:   proc.Handle(c.pulseStart),
		PulseFirst:   proc.Handle(c.pulseFirst),
		PulseGap:     proc.Handle(c.pulseGap),
		PulseStop:    proc.Handle(c.pulseStop),
		OpenFrontend: proc.Handle(c.openFrontend),
		OpenPusher:   proc.Handle(c.openPusher),
		Gather:       proc.Handle(c.gather),
		Count:        proc.Handle(c.count),
		LagWrite:     proc.Handle(c.lagWrite),
		LagWatch:     proc.Handle(c.lagWatch),
	})
	return errors.Join(err, c.leave())
}

// leave removes what would outlast the process: the keys in Redis.
func (c *child) leave() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.target.(interface{ tidy() error })
	if !ok || c.closed {
		return nil
	}
	c.abandon()
	return t.tidy()
}

// abandon stops loads whose calls nobody waits for any more; else they would write
// again what is being removed. It runs with mu held.
func (c *child) abandon() {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for _, run := range c.runs {
		run.Stop(now)
	}
	clear(c.runs)
}

var errNotOpen = errors.New("nothing is open yet")

func (c *child) open(t target) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target != nil {
		return errors.New("something is open already")
	}
	c.target = t
	return nil
}

func (c *child) opened() (target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target == nil {
		return nil, errNotOpen
	}
	return c.target, nil
}

func (c *child) look(context.Context, proc.None) (View, error) {
	t, err := c.opened()
	if err != nil {
		return View{}, err
	}
	return t.look(), nil
}

func (c *child) fill(ctx context.Context, _ proc.None) (proc.None, error) {
	t, err := c.opened()
	if err != nil {
		return proc.None{}, err
	}
	return proc.None{}, t.fill(ctx)
}

func (c *child) begin(ctx context.Context, l Load) (proc.None, error) {
	t, err := c.opened()
	if err != nil {
		return proc.None{}, err
	}
	step, err := t.step(l)
	if err != nil {
		return proc.None{}, err
	}
	run, err := c.start(l, step)
	if err != nil {
		return proc.None{}, err
	}
	return proc.None{}, run.WarmUp(ctx, l.WarmUp)
}

func (c *child) start(l Load, step func(int) load.Step) (*load.Run, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[l.Name] != nil {
		return nil, errors.New("a load of that name is running already")
	}
	if l.Rate > 0 {
		c.runs[l.Name] = load.StartPaced(l.Rate, l.Callers, step)
	} else {
		c.runs[l.Name] = load.Start(l.Callers, step)
	}
	return c.runs[l.Name], nil
}

func (c *child) measure(ctx context.Context, s Span) (load.Result, error) {
	c.mu.Lock()
	run := c.runs[s.Name]
	c.mu.Unlock()
	if run == nil {
		return load.Result{}, errors.New("no load is running")
	}
	return run.Measure(ctx, s.Duration)
}

func (c *child) finish(ctx context.Context, l Named) (proc.None, error) {
	c.mu.Lock()
	run := c.runs[l.Name]
	delete(c.runs, l.Name)
	c.mu.Unlock()
	if run != nil {
		run.Stop(ctx)
	}
	return proc.None{}, nil
}

func (c *child) read(ctx context.Context, _ proc.None) (Meter, error) {
	t, err := c.opened()
	if err != nil {
		return Meter{}, err
	}
	foreign, err := t.foreignCPU(ctx)
	if err != nil {
		return Meter{}, err
	}
	own, err := meter.CPU()
	return Meter{CPU: own + foreign, Appends: c.appends.Count(), Sent: c.traffic.Sent()}, err
}

func (c *child) close(context.Context, proc.None) (proc.None, error) {
	t, err := c.opened()
	if err != nil {
		return proc.None{}, err
	}
	c.mu.Lock()
	c.closed = true
	c.abandon()
	c.mu.Unlock()
	if err := t.close(); err != nil {
		return proc.None{}, fmt.Errorf("close: %w", err)
	}
	return proc.None{}, nil
}

// fillers is how many members are added at once before the measurements.
const fillers = 500

// fillWith adds the standing members.
func fillWith(ctx context.Context, crowd *load.Crowd, add load.Write) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for f := range fillers {
		all.Go(func() {
			for i := f; i < load.Standing && ctx.Err() == nil; i += fillers {
				if err := add(ctx, crowd.Member(i)); err != nil {
					cancel(fmt.Errorf("fill: %w", err))
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
