package writes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	attempts    = 3 // at a case while elections disturb it
	callTimeout = 2 * time.Minute
)

// Sample is one case in one run.
type Sample struct {
	OpsPerS    float64
	P50us      float64
	P99us      float64
	CPUus      float64  // per operation, of all processes
	FsyncsPerS *float64 // of all processes; nil: not known
	Errors     uint64
	Error      string
	Elections  int // that disturbed it, and made it be measured again
}

// block starts one system, goes through its cases, and ends it: so only one
// system runs at a time. Every case begins with the same state: what the callers of
// the one before had not taken away yet, and the room that their maps have grown to,
// would make the next one slower, which is the follower's.
func (b *bench) block(ctx context.Context, run int, s system) (err error) {
	var c *fleet.Cluster
	switch s.Name {
	case "redis":
		return b.redis(ctx, run, s)
	case "raft":
		c, err = b.space.StartRaft(ctx, s.Store)
	default:
		c, err = b.space.StartNodes(ctx, s.Store)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, k := range turn(b.options.cases(s), run) {
		if err := fill(ctx, c.Servers[0].Process); err != nil {
			return err
		}
		sample, err := b.onCluster(ctx, c, k)
		if err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
		b.note(run, k, sample)
	}
	return nil
}

// onCluster measures a case again if it was disturbed by an election. The last
// attempt counts as it is.
func (b *bench) onCluster(ctx context.Context, c *fleet.Cluster, k Case) (Sample, error) {
	for elections := 0; ; {
		leader, before, err := c.Leader(ctx)
		if err != nil {
			return Sample{}, err
		}
		at := leader
		if k.Place == onFollower {
			at = c.Others(leader)[0]
		}
		sample, err := b.sample(ctx, at.Process, k, c.Meter)
		if err != nil {
			return Sample{}, err
		}
		_, after, err := c.Leader(ctx)
		if err == nil && after.Term != before.Term {
			elections++
		}
		sample.Elections = elections
		if err != nil || after.Term == before.Term || elections == attempts {
			return sample, err
		}
		b.progress("  %s: the leader changed meanwhile; once more", k)
	}
}

// redis needs a client only.
func (b *bench) redis(ctx context.Context, run int, s system) (err error) {
	p, err := b.space.Process("redis-client")
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		err = errors.Join(err, p.Call(end, server.Close, proc.None{}, nil), p.End(end))
	}()
	most := 1
	for _, n := range b.options.Outstanding {
		most = max(most, n)
	}
	info := &server.RedisInfo{}
	if err := p.Call(ctx, server.OpenRedis, server.Redis{Addr: b.options.Redis, Outstanding: most, Pool: b.options.Pool}, info); err != nil {
		return err
	}
	b.redisInfo = info
	for _, k := range turn(b.options.cases(s), run) {
		if err := fill(ctx, p); err != nil {
			return err
		}
		sample, err := b.sample(ctx, p, k, func(ctx context.Context) (m server.Meter, err error) {
			err = p.Call(ctx, server.Read, proc.None{}, &m)
			return m, err
		})
		if err != nil {
			return fmt.Errorf("%v: %w", k, err)
		}
		sample.FsyncsPerS = nil // not known of Redis
		b.note(run, k, sample)
	}
	return nil
}

// fill leaves those in the store who are there all the time, and nobody else.
func fill(ctx context.Context, p *proc.Process) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return p.Call(ctx, server.Fill, proc.None{}, nil)
}

// sample measures one case with the callers in process p.
func (b *bench) sample(ctx context.Context, p *proc.Process, k Case, read func(context.Context) (server.Meter, error)) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+b.options.Duration+b.options.WarmUp)
	defer cancel()
	if err := p.Call(ctx, server.Begin, server.Load{Callers: k.Outstanding, Group: k.group(), WarmUp: b.options.WarmUp}, nil); err != nil {
		return Sample{}, err
	}
	before, err := read(ctx)
	if err != nil {
		return Sample{}, err
	}
	var r load.Result
	if err := p.Call(ctx, server.Measure, server.Span{Duration: b.options.Duration}, &r); err != nil {
		return Sample{}, err
	}
	after, err := read(ctx)
	if err != nil {
		return Sample{}, err
	}
	if err := p.Call(ctx, server.Finish, proc.None{}, nil); err != nil {
		return Sample{}, err
	}
	return sampleOf(k, r, before, after), nil
}

func sampleOf(k Case, r load.Result, before, after server.Meter) Sample {
	fsyncs := float64(after.Appends-before.Appends) * meter.SyncsPerAppend(k.Store) / r.Seconds
	s := Sample{
		OpsPerS: float64(r.Ops) / r.Seconds, P50us: r.P50us, P99us: r.P99us,
		FsyncsPerS: &fsyncs, Errors: r.Errors, Error: r.Error,
	}
	if r.Ops > 0 {
		s.CPUus = float64((after.CPU - before.CPU).Microseconds()) / float64(r.Ops)
	}
	return s
}
