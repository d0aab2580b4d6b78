package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Real is a cluster of real processes as faults see it. It is also a Network where
// the harness has one for it. What starts, ends, stops or moves processes is for one
// goroutine at a time, as in harness.
type Real struct{ *harness.Cluster }

var (
	_ Cluster = Real{}
	_ Pauser  = Real{}
	_ Network = Real{}
)

// Voters implements Cluster.
func (r Real) Voters() []string { return r.which(true) }

// NonVoters implements Cluster.
func (r Real) NonVoters() []string { return r.which(false) }

func (r Real) which(founder bool) (sids []string) {
	for _, s := range r.Servers {
		if s.Founder == founder {
			sids = append(sids, s.SID)
		}
	}
	return sids
}

// Lead implements Cluster. Servers that are paused do not run.
func (r Real) Lead(ctx context.Context, after uint64) (sid string, term uint64, err error) {
	var running []string
	for _, s := range r.Servers {
		if s.Runs() {
			running = append(running, s.SID)
		}
	}
	return r.LeadAmong(ctx, after, running...)
}

// LeadAmong is Lead where only those servers must agree, and one of them leads:
// those that were cut off know no better.
func (r Real) LeadAmong(ctx context.Context, after uint64, sids ...string) (sid string, term uint64, err error) {
	servers, err := r.named(sids)
	if err != nil {
		return "", 0, err
	}
	if len(servers) == 0 {
		return "", 0, errors.New("nobody is there to lead")
	}
	reign, err := Leader(ctx, servers, after)
	if err != nil {
		return "", 0, err
	}
	return reign.Leader.SID, reign.Term, nil
}

// Kill implements Cluster.
func (r Real) Kill(sids ...string) error {
	servers, err := r.named(sids)
	if err == nil {
		r.Cluster.Kill(servers...)
	}
	return err
}

// Start implements Cluster.
func (r Real) Start(_ context.Context, sids ...string) error {
	return r.each(sids, (*harness.Server).Start)
}

// Ready implements Cluster.
func (r Real) Ready(ctx context.Context, sids ...string) error {
	servers, err := r.named(sids)
	if err != nil {
		return err
	}
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { _, errs[i] = s.Ready(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Pause implements Pauser.
func (r Real) Pause(sids ...string) error { return r.each(sids, (*harness.Server).Pause) }

// Resume implements Pauser.
func (r Real) Resume(sids ...string) error { return r.each(sids, (*harness.Server).Resume) }

// MoveServer kills a server and starts it, on its data, at another address. It does
// not wait for it.
func (r Real) MoveServer(sid string) error {
	return r.each([]string{sid}, func(s *harness.Server) error {
		s.Kill()
		if err := s.Move(); err != nil {
			return err
		}
		return s.Start()
	})
}

func (r Real) each(sids []string, do func(*harness.Server) error) error {
	servers, err := r.named(sids)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := do(s); err != nil {
			return err
		}
	}
	return nil
}

func (r Real) named(sids []string) (servers []*harness.Server, err error) {
	for _, sid := range sids {
		s := r.Server(sid)
		if s == nil {
			return nil, fmt.Errorf("no server %q", sid)
		}
		servers = append(servers, s)
	}
	return servers, nil
}
