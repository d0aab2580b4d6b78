package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// inspect compares the states of all servers while this node leads, each auditInterval
// if something was written since, or if the last time did not end well.
func (n *Node) inspect(ctx context.Context) {
	well := false
	turns := newTurns(time.Now())
	for pause := auditInterval; ; {
		if wait(ctx, pause); ctx.Err() != nil {
			return
		}
		pause = auditInterval
		if well && n.replica.Index() <= n.auditor.newest() || n.replica.Level() < scaleLevel {
			continue
		}
		j, distrust, err := n.compare(ctx, turns)
		if err != nil {
			n.log.Debug("states not compared", "err", err)
		}
		if distrust || j.standing == standingDiffers {
			pause = auditAgain
		}
		well = err == nil && j.standing == standingEqual && !distrust
	}
}

// compare has all servers hash their state at one index, and tells them what comes of it.
// distrust: a server is not read until it hears that it is right.
func (n *Node) compare(ctx context.Context, turns *turns) (_ judgement, distrust bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	servers, err := n.consensus.Configuration()
	if err != nil {
		return judgement{}, false, err
	}
	result, disposition, err := n.committer.propose(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_Checkpoint{Checkpoint: &fsmpb.Checkpoint{}}})
	if disposition != peerpb.Disposition_DISPOSITION_APPLIED {
		return judgement{}, false, fmt.Errorf("checkpoint: %s: %w", disposition, err)
	}
	ballots := n.ballots(ctx, servers, result.Index)
	j := judge(result.Index, ballots)
	n.tell(j, result.Index, servers, ballots, turns.next(j, ballots, time.Now()))
	return j, slices.ContainsFunc(ballots, func(b ballot) bool { return b.distrusted }), nil
}

// ballots asks every server for its hash, all at once.
func (n *Node) ballots(ctx context.Context, servers []cluster.Server, index uint64) []ballot {
	ballots := make([]ballot, len(servers))
	n.each(servers, func(i int, s cluster.Server) {
		ballots[i] = ballot{nodeID: s.NodeID, voter: s.Voter}
		if s.NodeID == n.nodeID {
			ballots[i].answered = true
			ballots[i].hash, _ = n.auditor.hashOf(ctx, index)
			ballots[i].distrusted, ballots[i].rebuilding = n.consensus.fitness.distrusted() != nil, n.auditor.isRebuilding()
			return
		}
		client, err := peers{n.port}.client(n.addrOf(s))
		if err != nil {
			return
		}
		// Who does not answer, or is another node, has no vote here.
		if resp, err := client.StateHash(ctx, &peerpb.StateHashRequest{Index: index}); err == nil && resp.GetNodeId() == s.NodeID {
			ballots[i].answered = true
			ballots[i].hash = fsm.StateHash{Form: resp.GetForm(), Index: resp.GetIndex(), Sum: resp.GetSum()}
			ballots[i].distrusted, ballots[i].rebuilding = resp.GetDistrusted(), resp.GetRebuilding()
		}
	})
	return ballots
}

// each calls f for every server, so many at a time.
func (n *Node) each(servers []cluster.Server, f func(int, cluster.Server)) {
	var group sync.WaitGroup
	turns := make(chan struct{}, censusAtOnce)
	for i, s := range servers {
		group.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			f(i, s)
		})
	}
	group.Wait()
}

// tellTimeout is what a verdict may take on its way; the next one is about as good.
const tellTimeout = 2 * time.Second

// tell gives its verdict to everybody whom it is about, to this node first: if it is
// wrong it is to hand leadership over. turn: who is to take the right state; "": nobody.
func (n *Node) tell(j judgement, index uint64, servers []cluster.Server, ballots []ballot, turn string) {
	if j.standing == standingOpen {
		return
	}
	own := n.verdictFor(n.nodeID, j, index, ballots)
	if own.GetStanding() == peerpb.StateStanding_STATE_RIGHT && len(j.wrong) > 0 {
		own.Problem = n.wordsOn(j, index, ballots)
	}
	n.auditor.heed(own, j)
	if own.GetStanding() == peerpb.StateStanding_STATE_WRONG {
		turn = "" // the next leader gives it
	}
	source := n.source(j, servers)
	ctx, cancel := context.WithTimeout(n.ctx, tellTimeout)
	defer cancel()
	n.each(servers, func(_ int, s cluster.Server) {
		v := n.verdictFor(s.NodeID, j, index, ballots)
		if s.NodeID == n.nodeID || v.GetStanding() == peerpb.StateStanding_STATE_UNKNOWN {
			return
		}
		if s.NodeID == turn {
			v.SourceNodeId, v.SourceAddr = source.NodeID, source.Addr
		}
		if client, err := (peers{n.port}).client(n.addrOf(s)); err == nil {
			_, _ = client.StateVerdict(ctx, v) // it is told again next time
		}
	})
}

// source is a server that is right, the leader itself only if there is no other.
func (n *Node) source(j judgement, servers []cluster.Server) (source cluster.Server) {
	for _, s := range servers {
		if slices.Contains(j.holders, s.NodeID) && (source.NodeID == "" || source.NodeID == n.nodeID) {
			source = s
			source.Addr = n.addrOf(s)
		}
	}
	return source
}

func (n *Node) verdictFor(nodeID string, j judgement, index uint64, ballots []ballot) *peerpb.StateVerdictRequest {
	v := &peerpb.StateVerdictRequest{Index: index}
	switch {
	case j.standing == standingSplit:
		v.Standing, v.Problem = peerpb.StateStanding_STATE_NO_MAJORITY, n.wordsOn(j, index, ballots)
	case slices.Contains(j.holders, nodeID):
		v.Standing = peerpb.StateStanding_STATE_RIGHT
	case slices.Contains(j.wrong, nodeID):
		v.Standing, v.Problem = peerpb.StateStanding_STATE_WRONG, n.wordsOn(j, index, ballots)
	}
	return v
}

// wordsOn names who holds what.
func (n *Node) wordsOn(j judgement, index uint64, ballots []ballot) string {
	names, o := make(map[string][]string), &operator{n}
	var sums []string
	for _, b := range ballots {
		if b.hash.Sum == "" || b.hash == j.right {
			continue
		}
		sum := fmt.Sprintf("%.8s", b.hash.Sum)
		if names[sum] == nil {
			sums = append(sums, sum)
		}
		names[sum] = append(names[sum], o.nameOf(b.nodeID))
	}
	holds := make([]string, len(sums))
	for i, sum := range sums {
		slices.Sort(names[sum])
		holds[i] = fmt.Sprintf("%s (%s)", strings.Join(names[sum], ", "), sum)
	}
	slices.Sort(holds)
	if j.standing == standingSplit {
		return fmt.Sprintf("states differ at index %d, and a majority of voters holds none of them, so nobody knows which is right: %s", index, strings.Join(holds, "; "))
	}
	return fmt.Sprintf("at index %d the state of %s differs from that of a majority of voters (%.8s)", index, strings.Join(holds, "; "), j.right.Sum)
}
