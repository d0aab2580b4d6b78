package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	wishKept        = 10 * time.Second // after it was last asked for
	withdrawTimeout = time.Second      // of one request; it is asked again
	withdrawPause   = 100 * time.Millisecond
)

var errNotLeading = errors.New("this server does not lead")

// wish is a server's that wants to be rid of its vote, or leave.
type wish struct {
	leave bool
	asked time.Time
}

// HandleWithdraw takes a server out of the voters, or out of the configuration, as
// soon as that leaves enough voters; see electorate. Any node answers: one that
// does not lead names the leader. It waits a second at most, then says what for.
func (c *Cluster) HandleWithdraw(ctx context.Context, r WithdrawRequest) WithdrawReply {
	if c.ctx.Err() != nil {
		return WithdrawReply{Reason: "this server is closing"}
	}
	ours := c.identity.current().ClusterID
	switch {
	case !validID(r.NodeID):
		return WithdrawReply{Refused: true, Reason: fmt.Sprintf("malformed node id %q", r.NodeID)}
	case ours == "" || ours != r.ClusterID:
		return WithdrawReply{Refused: ours != "" && r.ClusterID != "", Reason: fmt.Sprintf("this server is of cluster %q, not %q", ours, r.ClusterID)}
	}
	if leader, addr := c.consensus.Leader(); leader == "" {
		return WithdrawReply{Reason: "no leader is known here"}
	} else if leader != c.self.NodeID {
		return WithdrawReply{LeaderAddr: addr}
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	return c.voting.withdraw(ctx, r)
}

// withdraw is HandleWithdraw on the leader.
func (v *voting) withdraw(ctx context.Context, r WithdrawRequest) WithdrawReply {
	if !v.wish(r) {
		return WithdrawReply{Reason: errNotLeading.Error()}
	}
	for {
		round := v.rounds()
		servers, err := v.consensus.Configuration()
		if err != nil {
			return WithdrawReply{Reason: err.Error()}
		}
		if !r.keptBy(servers) {
			return v.confirm(ctx, r)
		}
		if v.step(ctx) {
			continue
		}
		why, final := v.obstacle(r.NodeID)
		if final {
			return WithdrawReply{Refused: true, Reason: why}
		}
		select {
		case <-round:
		case <-ctx.Done():
			return WithdrawReply{Reason: why}
		}
	}
}

// keptBy: the server still has there what it wants to be rid of.
func (r WithdrawRequest) keptBy(servers []Server) bool {
	return slices.ContainsFunc(servers, func(s Server) bool { return s.NodeID == r.NodeID && (s.Voter || r.Leave) })
}

// wish notes what the server wants.
func (v *voting) wish(r WithdrawRequest) (leads bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tally != nil {
		v.wishes[r.NodeID] = wish{leave: r.Leave, asked: time.Now()}
	}
	return v.tally != nil
}

func (v *voting) obstacle(nodeID string) (why string, final bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.latest.obstacle(nodeID)
}

// confirm makes sure that the change is committed: the configuration that is known
// here may not be, and a directory is retired on the strength of this answer. To
// make it again changes nothing, and is committed after it.
func (v *voting) confirm(ctx context.Context, r WithdrawRequest) WithdrawReply {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return WithdrawReply{Reason: "the configuration is being changed"}
	}
	servers, err := v.consensus.Configuration()
	if err != nil || r.keptBy(servers) {
		return WithdrawReply{Reason: ErrConfigurationChanged.Error()}
	}
	again := v.consensus.Demote
	if r.Leave {
		again = v.consensus.Remove
	}
	if err := again(ctx, r.NodeID, servers); err != nil {
		return WithdrawReply{Reason: "not committed yet: " + err.Error()}
	}
	// The wish stays as long as any: who has given its vote up is about to go.
	return WithdrawReply{Done: true}
}

// Withdraw gives this server's vote back, or with leave its place in the
// configuration, and returns once that is committed. It asks the leader again
// until it has, or has refused for good (ErrWithdrawRefused), or ctx ends.
func (c *Cluster) Withdraw(ctx context.Context, leave bool) error {
	r := WithdrawRequest{ClusterID: c.identity.current().ClusterID, NodeID: c.self.NodeID, Leave: leave}
	for {
		reply, err := c.askToWithdraw(ctx, r)
		switch {
		case err != nil:
		case reply.Done:
			return nil
		case reply.Refused:
			return fmt.Errorf("%w: %s", ErrWithdrawRefused, reply.Reason)
		default:
			err = errors.New(reply.Reason)
		}
		t := time.NewTimer(withdrawPause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("withdraw from the voters: %w: %w", context.Cause(ctx), err)
		}
	}
}

func (c *Cluster) askToWithdraw(ctx context.Context, r WithdrawRequest) (WithdrawReply, error) {
	leader, addr := c.consensus.Leader()
	switch leader {
	case "":
		return WithdrawReply{}, errors.New("no leader is known")
	case c.self.NodeID:
		return c.HandleWithdraw(ctx, r), nil
	}
	timed, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	return c.voting.peers.Withdraw(timed, addr, r)
}
