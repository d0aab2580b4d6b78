package fleetsize

import (
	"context"
	"fmt"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// arrivals are the times of new servers.
type arrivals struct {
	read, ready []float64 // ms
	received    []float64 // bytes
}

// arrivals starts new servers, one after the other, into the fleet that is idle
// again: first without any channels, then with many members.
func (b *bench) arrivals(ctx context.Context, s *ships) (err error) {
	if b.options.Starts == 0 {
		return nil
	}
	p, err := b.space.Process("newcomer")
	if err != nil {
		return err
	}
	defer p.Kill()
	for _, part := range []struct {
		members int
		into    *arrivals
	}{{0, &b.empty}, {b.options.Members, &b.stocked}} {
		b.progress("%d new servers, %d members", b.options.Starts, part.members)
		if err := b.stock(ctx, s, part.members); err != nil {
			return err
		}
		for i := range b.options.Starts {
			if err := b.arrive(ctx, s, p, fmt.Sprintf("newcomer-%d-%d", part.members, i+1), part.members, part.into); err != nil {
				return fmt.Errorf("new server %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// stocked is how many members are added at once. All replicas are in one process:
// what takes each of fifty machines a millisecond takes it fifty.
const stocked = 1000

// stock has so many members in the cluster and no others.
func (b *bench) stock(ctx context.Context, s *ships, members int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.leader.Call(ctx, server.Empty, proc.None{}, nil); err != nil {
		return err
	}
	for first := 0; first < members; first += stocked {
		var at server.Index
		if err := s.leader.Call(ctx, server.Stock, server.Amount{First: first, Members: min(stocked, members-first)}, &at); err != nil {
			return err
		}
		if err := s.others.Call(ctx, server.CatchUp, at, nil); err != nil {
			return err
		}
	}
	return nil
}

// arrive starts one. What it reads shows that it has everything.
func (b *bench) arrive(ctx context.Context, s *ships, p *proc.Process, sid string, members int, into *arrivals) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	n := server.Node{SID: sid, Join: []string{s.addr}, NonVoter: true, Store: memoryStore}
	var a server.Arrival
	if err := p.Call(ctx, server.Arrive, server.Newcomer{Node: n}, &a); err != nil {
		return err
	}
	if want := (members + load.Channels - 1) / load.Channels; a.Members != want {
		return fmt.Errorf("%s read %d members of a channel that has %d", sid, a.Members, want)
	}
	into.read = append(into.read, report.Milliseconds(a.Read))
	into.ready = append(into.ready, report.Milliseconds(a.Ready))
	into.received = append(into.received, float64(a.Received))
	b.progress("  %s: read after %.0f ms, ready after %.0f ms, %d bytes received", sid, report.Milliseconds(a.Read), report.Milliseconds(a.Ready), a.Received)
	return nil
}
