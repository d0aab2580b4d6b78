package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Real is a cluster of real processes as faults see it. It is also a Network where
// the harness has one for it. What starts, ends, stops or moves processes is for one
// goroutine at a time, as in harness.
type Real struct{ *harness.Cluster }

var (
	_ Cluster = Real{}
	_ Pauser  = Real{}
	_ Network = Real{}
	_ Mover   = Real{}
	_ Joiner  = Real{}
	_ Disks   = Real{}

	_ Compactor = Real{}
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

// Target is a server as clients see it.
func (r Real) Target(sid string) workload.Server { return r.Server(sid) }

// Pushes are a client of each server and as many frontends, which are attached.
func (r Real) Pushes() (p workload.Pushes) {
	p.Plain = true
	var agents []workload.Server
	for _, s := range r.Servers {
		agents = append(agents, s)
	}
	for i, s := range r.Servers {
		f := &workload.Frontend{SID: fmt.Sprintf("f%d", i+1), Agents: agents, Stay: 20 * time.Second}
		p.Pushers, p.Targets, p.Attached = append(p.Pushers, workload.Remote(s)), append(p.Targets, f.SID), append(p.Attached, f)
	}
	return p
}

// Status implements Cluster.
func (r Real) Status(ctx context.Context, sid string) (*pb.StatusResponse, error) {
	servers, err := r.named([]string{sid})
	if err != nil {
		return nil, err
	}
	return servers[0].Status(ctx, false)
}

// Replicas asks every server for the hash of its state, and notes it.
func (r Real) Replicas(ctx context.Context) (statuses []*pb.StatusResponse, err error) {
	for _, s := range r.Servers {
		st, err := r.Replica(ctx, s)
		if err != nil {
			return nil, err
		}
		statuses = append(statuses, st)
	}
	return statuses, nil
}

// Observe notes which lives each server shows, until ctx ends.
func (r Real) Observe(ctx context.Context) { r.Watch(ctx) }

// Lives implements Cluster.
func (r Real) Lives(ctx context.Context, via string) (map[string]uint64, error) {
	servers, err := r.named([]string{via})
	if err != nil {
		return nil, err
	}
	return r.List(ctx, servers[0])
}

// Write implements Cluster.
func (r Real) Write(ctx context.Context, through ...string) error {
	servers, err := r.named(through)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, s := range servers {
		if err := s.Connect(ctx); err != nil {
			return err
		}
		client, err := s.Client()
		if err == nil {
			_, err = client.Add(ctx, &pb.AddRequest{Name: "epilogue", Uid: "by-" + s.SID, Sid: s.SID})
		}
		if err != nil {
			return fmt.Errorf("a write through %s: %w", s.SID, err)
		}
	}
	return nil
}

// Compact implements Compactor: servers that take snapshots often do so by themselves.
func (r Real) Compact(string) error { return nil }

// Transfer implements Cluster.
func (r Real) Transfer(ctx context.Context, leader string) error {
	return r.each([]string{leader}, func(s *harness.Server) error { return s.Transfer(ctx) })
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

// End implements Cluster.
func (r Real) End(ctx context.Context, sids ...string) error {
	return r.each(sids, func(s *harness.Server) error {
		code, err := s.Terminate(ctx)
		if err == nil && code != 0 {
			err = fmt.Errorf("%s ended with exit code %d", s.SID, code)
		}
		return err
	})
}

// Ready implements Cluster.
func (r Real) Ready(ctx context.Context, sids ...string) error {
	servers, err := r.named(sids)
	if err != nil {
		return err
	}
	return r.AllReady(ctx, servers)
}

// Pause implements Pauser.
func (r Real) Pause(sids ...string) error { return r.each(sids, (*harness.Server).Pause) }

// Resume implements Pauser.
func (r Real) Resume(sids ...string) error { return r.each(sids, (*harness.Server).Resume) }

// Move implements Mover.
func (r Real) Move(_ context.Context, sid string) error {
	return r.each([]string{sid}, func(s *harness.Server) error {
		if err := s.Move(); err != nil {
			return err
		}
		return s.Start()
	})
}

// Join implements Joiner. The guest keeps its log as the others do.
func (r Real) Join(_ context.Context, g Guest) error {
	like := r.Servers[0].Spec
	_, err := r.Cluster.Join(harness.Spec{SID: g.SID, SType: like.SType, NonVoter: g.NonVoter, LogStore: like.LogStore, ReapAfter: like.ReapAfter})
	return err
}

// Decommission implements Joiner.
func (r Real) Decommission(ctx context.Context, sid string) error {
	return r.each([]string{sid}, func(s *harness.Server) error { return r.Cluster.Decommission(ctx, s) })
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
