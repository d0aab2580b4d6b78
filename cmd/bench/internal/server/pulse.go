package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
)

const (
	// A write begins that often, whether or not the ones before it have ended: so
	// there is always one that began after a given moment, and it need not be
	// guessed whether an answer that comes after a kill was on its way before.
	pulseEvery   = 5 * time.Millisecond
	pulseTimeout = 20 * time.Second
)

// pulse is a light load that goes on while leaders come and go.
type pulse struct {
	cancel context.CancelFunc // ends the beginning of new writes
	writes sync.WaitGroup     // and the loop that begins them

	mu    sync.Mutex // guards all below
	acked []ack      // in the order of their ends, those of the last pulseKept
	news  chan struct{}
	sum   PulseSum
}

// ack is an acknowledged write, on the clock of all processes.
type ack struct{ began, ended time.Duration }

// pulseKept bounds the memory of a pulse.
const pulseKept = 30 * time.Second

func startPulse(add, leave load.Write, crowd *load.Crowd) *pulse {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pulse{cancel: cancel, news: make(chan struct{})}
	p.writes.Go(func() { p.beat(ctx, add, leave, crowd) })
	return p
}

func (p *pulse) beat(ctx context.Context, add, leave load.Write, crowd *load.Crowd) {
	every := time.NewTicker(pulseEvery)
	defer every.Stop()
	for i := 0; ; i++ {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		write, member := add, crowd.Member(load.Standing+i/2)
		if i%2 == 1 {
			write = leave
		}
		p.writes.Go(func() { p.one(write, member) })
	}
}

func (p *pulse) one(write load.Write, member load.Pair) {
	ctx, cancel := context.WithTimeout(context.Background(), pulseTimeout)
	defer cancel()
	began := meter.Now()
	err := write(ctx, member)
	p.note(ack{began, meter.Now()}, err)
}

func (p *pulse) note(a ack, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum.Writes++
	if err != nil {
		if p.sum.Errors++; p.sum.Error == "" {
			p.sum.Error = err.Error()
		}
		return
	}
	old := 0
	for old < len(p.acked) && p.acked[old].ended < a.ended-pulseKept {
		old++
	}
	p.acked = append(p.acked[old:], a)
	close(p.news)
	p.news = make(chan struct{})
}

// first waits for a write that began after at, and returns when it was
// acknowledged.
func (p *pulse) first(ctx context.Context, at time.Duration) (time.Duration, error) {
	for {
		p.mu.Lock()
		news := p.news
		for _, a := range p.acked {
			if a.began > at {
				p.mu.Unlock()
				return a.ended, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// gap is the longest time without an acknowledgement, from since to now. One that
// had begun before since counts from its begin.
func (p *pulse) gap(since, now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest, last time.Duration
	for _, a := range p.acked {
		if last > 0 && a.ended >= since {
			longest = max(longest, a.ended-last)
		}
		last = max(last, a.ended)
	}
	return max(longest, now-max(last, since))
}

// stop waits until no write is outstanding.
func (p *pulse) stop() PulseSum {
	p.cancel()
	p.writes.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sum
}

func (c *child) pulseStart(context.Context, proc.None) (proc.None, error) {
	n, err := c.node()
	if err != nil {
		return proc.None{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulse != nil {
		return proc.None{}, errors.New("a pulse is running already")
	}
	c.pulse = startPulse(n.add, n.leave, n.crowd)
	return proc.None{}, nil
}

func (c *child) running() (*pulse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulse == nil {
		return nil, errors.New("no pulse is running")
	}
	return c.pulse, nil
}

func (c *child) pulseFirst(ctx context.Context, after Instant) (Instant, error) {
	p, err := c.running()
	if err != nil {
		return Instant{}, err
	}
	at, err := p.first(ctx, after.At)
	return Instant{At: at}, err
}

func (c *child) pulseGap(_ context.Context, since Instant) (Gap, error) {
	p, err := c.running()
	if err != nil {
		return Gap{}, err
	}
	return Gap{Gap: p.gap(since.At, meter.Now())}, nil
}

func (c *child) pulseStop(context.Context, proc.None) (PulseSum, error) {
	p, err := c.running()
	if err != nil {
		return PulseSum{}, err
	}
	sum := p.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulse = nil
	return sum, nil
}
