package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const progressTimeout = 2 * time.Second

// admission is the leader's side of a join: it brings the Raft configuration in
// line with one server's id and address.
type admission struct {
	self       Member
	ledger     *ledger
	consensus  Consensus
	peers      Peers
	state      State
	names      namer
	level      uint32 // newest entry version that this binary knows
	logger     *slog.Logger
	generation generation
	turn       chan struct{} // one slot: configuration changes are decided one at a time
}

// handle answers on any node.
func (a *admission) handle(ctx context.Context, r JoinRequest) JoinReply {
	if reply, ok := a.check(r); !ok {
		return reply
	}
	leader, addr := a.consensus.Leader()
	if leader != a.self.NodeID {
		if addr == "" {
			return JoinReply{Reason: "no leader is known here yet"}
		}
		return JoinReply{LeaderAddr: addr}
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return JoinReply{Reason: "the leader is busy with other joins"}
	}
	err := a.understands(ctx, r)
	if err == nil {
		err = a.admit(ctx, r)
	}
	if final := (errRefused{}); errors.As(err, &final) {
		return JoinReply{Refused: true, Reason: final.reason}
	} else if err != nil {
		return JoinReply{Reason: err.Error()}
	}
	return JoinReply{Joined: true, Founders: a.ledger.founders()}
}

func (a *admission) check(r JoinRequest) (JoinReply, bool) {
	ours := a.ledger.current().ClusterID
	switch {
	case !validID(r.NodeID) || !validID(r.SID) || validAddr(r.Addr) != nil:
		return JoinReply{Refused: true, Reason: fmt.Sprintf("malformed join: node id %q, sid %q, address %q", r.NodeID, r.SID, r.Addr)}, false
	case ours == "":
		return JoinReply{Reason: "this server belongs to no cluster yet"}, false
	case r.ClusterID == "":
		return JoinReply{Reason: "the join names no cluster; this is " + ours}, false
	case r.ClusterID != ours:
		return JoinReply{Refused: true, Reason: fmt.Sprintf(
			"this is cluster %s, but server %s has data of cluster %s: start it with an empty data directory, or point it at its own cluster",
			ours, r.SID, r.ClusterID)}, false
	}
	if data, now := r.Generation, a.generation.now(); data != 0 && data < now {
		return JoinReply{Refused: true, Reason: fmt.Sprintf(
			"this cluster was recovered without server %s, whose data is of generation %d and not %d: delete all of its data directory and start it as a new server",
			r.SID, data, now)}, false
	} else if now != 0 && data > now {
		return JoinReply{Reason: fmt.Sprintf("this server has data of generation %d, from before the cluster was recovered", now)}, false
	}
	return JoinReply{}, true
}

// understands refuses a binary that would halt at the entries which this cluster
// writes. The level may be on its way up, from this leader or the one before; so if
// the answer hangs on it, a commit comes first.
func (a *admission) understands(ctx context.Context, r JoinRequest) error {
	told := levelOf(r.Level)
	if told >= a.level {
		return nil
	}
	if err := a.state.CatchUp(ctx); err != nil {
		return fmt.Errorf("find out which level the cluster has: %w", err)
	}
	if now := a.state.Level(); told < now {
		return errRefused{fmt.Sprintf(
			"server %s knows log entries up to level %d, this cluster writes level %d: upgrade its binary", r.SID, told, now)}
	}
	return nil
}

// admit handles the four cases of id and address; rqlite#2778 shows what becomes
// of the second one done wrong.
func (a *admission) admit(ctx context.Context, r JoinRequest) error {
	servers, err := a.consensus.Configuration()
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	want := Server{NodeID: r.NodeID, Addr: r.Addr}
	known := slices.IndexFunc(servers, func(s Server) bool { return s.NodeID == r.NodeID })
	if known < 0 && r.Member {
		return errRefused{fmt.Sprintf("server %s (node %s) was taken out of the cluster and may not come back with what it had: "+
			"delete its whole data directory to start as a new server", r.SID, r.NodeID)}
	}
	if r.Addr == a.self.Addr && r.NodeID != a.self.NodeID {
		return errRefused{fmt.Sprintf("%s is the leader's own address, %s must advertise another", r.Addr, r.SID)}
	}
	shared := slices.ContainsFunc(servers, func(s Server) bool { return s.Addr == r.Addr && s.NodeID != r.NodeID })
	settled := known >= 0 && servers[known].Addr == r.Addr
	if settled && !shared {
		return nil
	}
	if known >= 0 || shared {
		if err := a.confirm(ctx, r); err != nil {
			return err
		}
	}
	if shared {
		if evicted, err := a.evict(ctx, r, servers); err != nil {
			return err
		} else if evicted {
			return a.admit(ctx, r) // to the configuration that this left
		}
	}
	if settled {
		return nil
	}
	if known >= 0 && servers[known].Voter {
		want.Voter = true
		err = a.consensus.AddVoter(ctx, want, servers) // of a voter: changes its address only
	} else {
		err = a.consensus.AddNonvoter(ctx, want, servers)
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", r.SID, err)
	}
	a.logger.Info("server admitted", "sid", r.SID, "node_id", r.NodeID, "addr", r.Addr, "voter", want.Voter)
	return nil
}

// evict takes one server out that had the joiner's address before, if it is known
// that it does not come back: the joiner has its sid, or another server has. An address alone says
// nothing: machines that all restart may get each other's, and who starts last must
// find its vote. Two servers at one address are told apart by their node ids; what
// becomes of one that is away is for the voters' rules.
func (a *admission) evict(ctx context.Context, r JoinRequest, servers []Server) (evicted bool, err error) {
	// After a restart of everybody the state may not show yet who is who.
	if err := a.state.CatchUp(ctx); err != nil {
		return false, fmt.Errorf("find out whose address %s was: %w", r.Addr, err)
	}
	for _, s := range servers {
		if s.Addr != r.Addr || s.NodeID == r.NodeID || s.NodeID == a.self.NodeID {
			continue
		}
		sid := a.names.sid(s.NodeID)
		if sid != r.SID && !a.names.replaced(s.NodeID, sid, servers) {
			continue
		}
		a.logger.Info("removing a server that has been replaced", "node_id", s.NodeID, "sid", sid, "addr", s.Addr)
		if err := a.consensus.Remove(ctx, s.NodeID, servers); err != nil {
			return false, fmt.Errorf("remove %s, which had this address: %w", s.NodeID, err)
		}
		return true, nil
	}
	return false, nil
}

// confirm asks the address who lives there, before a server is moved or added where
// another one was: a mistyped advertised address must not cost a live voter.
func (a *admission) confirm(ctx context.Context, r JoinRequest) error {
	if r.NodeID == a.self.NodeID {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, progressTimeout)
	defer cancel()
	p, err := a.peers.Progress(ctx, r.Addr)
	if err != nil {
		return fmt.Errorf("%s does not answer at %s: %w", r.SID, r.Addr, err)
	}
	if p.NodeID != r.NodeID {
		return fmt.Errorf("at %s answers node %s, not %s", r.Addr, p.NodeID, r.NodeID)
	}
	return nil
}

// generation tells of which generation of the cluster this node's data is; nil: of none.
type generation func() uint32

func (g generation) now() uint32 {
	if g == nil {
		return 0
	}
	return g()
}
