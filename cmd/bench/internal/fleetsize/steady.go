package fleetsize

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

const (
	longest     = time.Minute // of a sample
	fewest      = 5           // samples, unless they were shorter than a second
	profiled    = 20 * time.Second
	callTimeout = 2 * time.Minute
	lagChannel  = "lag-"
)

// phase is a time in which nothing changed from outside.
type phase struct {
	samples   []Sample
	elections uint64
}

// Sample is a part of a phase, a minute or a fifth of a short one.
type Sample struct {
	Seconds     float64 `json:"seconds"`
	LeaderCPU   float64 `json:"leader_cpu_percent"`   // of one core
	OthersCPU   float64 `json:"others_cpu_percent"`   // of one core, all other servers and the callers
	StrangerCPU float64 `json:"stranger_cpu_percent"` // of one core, processes that have nothing to do with it

	Replicated float64 `json:"replicated_bytes_per_s"` // on connections that the leader dialled
	Answered   float64 `json:"answered_bytes_per_s"`   // on those that it accepted
	Gossip     float64 `json:"gossip_bytes_per_s"`     // packets

	load.Result // of the writes, if there were
}

// parts says into how many samples a phase of so long is divided.
func parts(whole time.Duration) int {
	n := int(whole / longest)
	if n < fewest {
		n = int(min(whole/time.Second, fewest))
	}
	return max(n, 1)
}

func (b *bench) watchIdle(ctx context.Context, s *ships) error {
	if b.options.Idle == 0 {
		return nil
	}
	b.progress("idle: %v", b.options.Idle)
	pause(ctx, b.options.WarmUp)
	if err := b.profile(ctx, s, "idle"); err != nil {
		return err
	}
	var err error
	b.idle, err = b.watch(ctx, s, b.options.Idle, func(ctx context.Context, d time.Duration) (load.Result, error) {
		pause(ctx, d)
		return load.Result{Seconds: d.Seconds()}, ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	b.idleLag, err = b.lag(ctx, s, lagChannel+"idle")
	return err
}

func (b *bench) watchLoad(ctx context.Context, s *ships) (err error) {
	if b.options.Load == 0 {
		return nil
	}
	b.progress("%d writes a second: %v", b.options.Rate, b.options.Load)
	begin, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	plan := server.Load{Callers: b.options.Callers, Rate: b.options.Rate, WarmUp: b.options.WarmUp}
	if err := s.others.Call(begin, server.Begin, plan, nil); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	if err := b.profile(ctx, s, "load"); err != nil {
		return err
	}
	b.load, err = b.watch(ctx, s, b.options.Load, func(ctx context.Context, d time.Duration) (r load.Result, err error) {
		err = s.others.Call(ctx, server.Measure, server.Span{Duration: d}, &r)
		return r, err
	})
	if err == nil {
		b.loadLag, err = b.lag(ctx, s, lagChannel+"load")
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	if err := errors.Join(err, s.others.Call(end, server.Finish, proc.None{}, nil)); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// watch takes samples; during goes on while one is taken.
func (b *bench) watch(ctx context.Context, s *ships, whole time.Duration, during func(context.Context, time.Duration) (load.Result, error)) (*phase, error) {
	p := &phase{}
	before, err := s.leads(ctx)
	if err != nil {
		return p, err
	}
	n := parts(whole)
	for i := range n {
		sample, err := s.sample(ctx, whole/time.Duration(n), during)
		if err != nil {
			return p, err
		}
		p.samples = append(p.samples, sample)
		after, err := s.leads(ctx)
		if p.elections = after - before; err != nil {
			return p, err
		}
		b.progress("  %d of %d: leader %.1f %% of a core, others %.1f %%, strangers %.1f %%; %.0f writes/s, p50 %.2f ms, p99 %.2f ms, %d errors%s; %d elections", i+1, n,
			sample.LeaderCPU, sample.OthersCPU, sample.StrangerCPU, float64(sample.Ops)/sample.Seconds,
			sample.P50us/1e3, sample.P99us/1e3, sample.Errors, report.Quoted(sample.Error), p.elections)
	}
	return p, nil
}

func (s *ships) sample(ctx context.Context, d time.Duration, during func(context.Context, time.Duration) (load.Result, error)) (Sample, error) {
	began, busy, err := clocks()
	if err != nil {
		return Sample{}, err
	}
	leader, others, err := s.meters(ctx)
	if err != nil {
		return Sample{}, err
	}
	result, err := during(ctx, d)
	if err != nil {
		return Sample{}, err
	}
	leaderAfter, othersAfter, err := s.meters(ctx)
	if err != nil {
		return Sample{}, err
	}
	ended, busyAfter, err := clocks()
	took := (ended - began).Seconds()
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / took }
	rate := func(before, after uint64) float64 { return float64(after-before) / took }
	ours := leaderAfter.CPU - leader.CPU + othersAfter.CPU - others.CPU
	return Sample{
		Seconds: took, LeaderCPU: percent(leaderAfter.CPU - leader.CPU), OthersCPU: percent(othersAfter.CPU - others.CPU),
		StrangerCPU: max(0, percent(busyAfter-busy-ours)),
		Replicated:  rate(leader.Sent.Dialled, leaderAfter.Sent.Dialled),
		Answered:    rate(leader.Sent.Accepted, leaderAfter.Sent.Accepted),
		Gossip:      rate(leader.Sent.Packets, leaderAfter.Sent.Packets),
		Result:      result,
	}, err
}

func clocks() (now, busy time.Duration, err error) {
	busy, err = meter.Busy()
	return meter.Now(), busy, err
}

// lag is that of a replica that never votes.
func (b *bench) lag(ctx context.Context, s *ships, channel string) ([]float64, error) {
	var ms []float64
	lags, err := fleet.Lags(ctx, s.leader.Process, s.others.Process, channel, b.options.LagSamples)
	for _, lag := range lags {
		ms = append(ms, report.Milliseconds(lag))
	}
	return ms, err
}

// profile is taken before the samples: it costs something itself.
func (b *bench) profile(ctx context.Context, s *ships, name string) error {
	if b.options.Profile == "" {
		return nil
	}
	dir, err := filepath.Abs(b.options.Profile)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	b.progress("  profile for %v", profiled)
	return s.leader.Call(ctx, server.Profile, server.Spent{File: filepath.Join(dir, name+".pprof"), Duration: profiled}, nil)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
