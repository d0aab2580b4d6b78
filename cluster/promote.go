package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	promoteInterval = 500 * time.Millisecond
	stableRounds    = 3   // answers in a row, caught up each time
	caughtUp        = 128 // entries: what a busy leader writes between two looks
	defaultVoters   = 5
)

// promotion gives votes to non-voters that have proved themselves, while this
// node leads. A voter that cannot be reached would only raise the quorum: the
// second voter of a one-node cluster would stop it.
type promotion struct {
	self      Member
	consensus Consensus
	peers     Peers
	maxVoters func() int
	turn      chan struct{} // shared with admission
	logger    *slog.Logger
}

// lead works until ctx ends. What it knows of the candidates dies with it: the
// next term watches them anew.
func (p *promotion) lead(ctx context.Context) {
	t := time.NewTicker(promoteInterval)
	defer t.Stop()
	streaks := map[string]int{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			streaks = p.round(ctx, streaks)
		}
	}
}

// round looks at every candidate once and promotes at most one. It returns for
// how many rounds in a row each has been good.
func (p *promotion) round(ctx context.Context, before map[string]int) map[string]int {
	servers, err := p.consensus.Configuration()
	if err != nil {
		return nil
	}
	voters := 0
	candidates := slices.DeleteFunc(slices.Clone(servers), func(s Server) bool {
		if s.Voter {
			voters++
		}
		return s.Voter
	})
	limit := defaultVoters
	if p.maxVoters != nil && p.maxVoters() > 0 {
		limit = p.maxVoters()
	}
	if voters >= limit || len(candidates) == 0 {
		return nil
	}
	streaks := p.examine(ctx, candidates, before)
	slices.SortFunc(candidates, func(a, b Server) int {
		return cmp.Or(cmp.Compare(streaks[b.NodeID], streaks[a.NodeID]), cmp.Compare(a.NodeID, b.NodeID))
	})
	if best := candidates[0]; streaks[best.NodeID] >= stableRounds && ctx.Err() == nil {
		p.promote(ctx, best)
	}
	return streaks
}

// examine asks all candidates at once. Our own last index is read first: who
// has caught up with it had it while we looked.
func (p *promotion) examine(ctx context.Context, candidates []Server, before map[string]int) map[string]int {
	last := p.consensus.LastIndex()
	ctx, cancel := context.WithTimeout(ctx, progressTimeout)
	defer cancel()
	good := make([]bool, len(candidates))
	var group sync.WaitGroup
	for i, c := range candidates {
		group.Go(func() {
			a, err := p.peers.Progress(ctx, c.Addr)
			good[i] = err == nil && a.NodeID == c.NodeID && !a.NonVoter && a.LastIndex+caughtUp >= last
		})
	}
	group.Wait()
	streaks := make(map[string]int, len(candidates))
	for i, c := range candidates {
		if good[i] {
			streaks[c.NodeID] = before[c.NodeID] + 1
		}
	}
	return streaks
}

// promote takes the turn of configuration changes and looks again: a join may
// have moved or removed the candidate meanwhile.
func (p *promotion) promote(ctx context.Context, s Server) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return
	}
	servers, err := p.consensus.Configuration()
	if err != nil || !slices.Contains(servers, s) {
		return
	}
	s.Voter = true
	if err := p.consensus.AddVoter(ctx, s); err != nil {
		p.logger.Debug("promotion failed", "node_id", s.NodeID, "error", err)
		return
	}
	p.logger.Info("server promoted to voter", "node_id", s.NodeID, "addr", s.Addr)
}
