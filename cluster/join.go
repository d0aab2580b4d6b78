package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	joinTimeout  = 5 * time.Second
	joinInterval = 500 * time.Millisecond
	maxAsked     = 6 // servers per attempt
)

// joining asks to be in the Raft configuration under the present address: always
// once after a start, because the configuration may still name an old one.
type joining struct {
	self       Member
	level      uint32 // newest entry version that this binary knows
	ledger     *ledger
	consensus  Consensus
	peers      Peers
	members    func() []Member
	seeds      func() []string
	generation generation
	local      func(ctx context.Context, r JoinRequest) JoinReply // if this node leads

	// Of the goroutine that calls attempt.
	sure      bool      // astray has looked once
	stray     string    // what another cluster says, while nobody of ours answers
	since     time.Time // when all seeds were first found to be another cluster's
	nextCheck time.Time
}

// errRefused is final.
type errRefused struct{ reason string }

func (e errRefused) Error() string { return e.reason }

// question is somebody to ask. An answer of a server that is known to be of our
// own cluster is to be believed; an address from the seeds or the log may have
// gone to another cluster's server since.
type question struct {
	addr    string
	trusted bool
}

// attempt asks until somebody says yes. nil: joined. errRefused: for good.
func (j *joining) attempt(ctx context.Context, clusterID string) error {
	r := JoinRequest{ClusterID: clusterID, NodeID: j.self.NodeID, Addr: j.self.Addr, SID: j.self.SID, Generation: j.generation.now(), Level: j.level, Member: j.ledger.current().Admitted}
	if err := j.astray(ctx, r); err != nil {
		return err
	}
	questions, alone := j.questions(clusterID)
	asked := map[string]bool{}
	err := errors.New("no server of the cluster in sight")
	for len(questions) > 0 && len(asked) < maxAsked && ctx.Err() == nil {
		q := questions[0]
		questions = questions[1:]
		if asked[q.addr] {
			continue
		}
		asked[q.addr] = true
		reply, aerr := j.ask(ctx, q.addr, r)
		switch {
		case aerr != nil:
			err = fmt.Errorf("ask %s: %w", q.addr, aerr)
		case reply.Joined:
			j.stray, j.since = "", time.Time{} // whatever the seeds say
			return j.ledger.admitted(reply.Founders)
		case reply.Refused && (q.trusted || alone):
			return errRefused{reply.Reason}
		case reply.LeaderAddr != "":
			err = fmt.Errorf("%s names %s as the leader", q.addr, reply.LeaderAddr)
			questions = slices.Insert(questions, 0, question{reply.LeaderAddr, q.trusted})
		default:
			err = fmt.Errorf("%s: %s", q.addr, reply.Reason)
		}
	}
	return err
}

func (j *joining) ask(ctx context.Context, addr string, r JoinRequest) (JoinReply, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if addr == j.self.Addr {
		return j.local(ctx, r), nil
	}
	return j.peers.Join(ctx, addr, r)
}

// questions in the order of their promise. alone: no other server of this
// cluster is known from anywhere, so a stranger's refusal is all we will hear.
func (j *joining) questions(clusterID string) (qs []question, alone bool) {
	if id, addr := j.consensus.Leader(); id == j.self.NodeID {
		qs = append(qs, question{j.self.Addr, true})
	} else if addr != "" {
		qs = append(qs, question{addr, true})
	}
	var fellows []question
	for _, m := range j.fellows(clusterID) {
		fellows = append(fellows, question{m.Addr, true})
	}
	rand.Shuffle(len(fellows), func(a, b int) { fellows[a], fellows[b] = fellows[b], fellows[a] })
	qs = append(qs, fellows...)
	servers, err := j.consensus.Configuration()
	for _, s := range servers {
		if s.NodeID != j.self.NodeID {
			qs = append(qs, question{s.Addr, false})
		}
	}
	if len(fellows) == 0 {
		for _, addr := range j.seeds() {
			qs = append(qs, question{addr, false})
		}
	}
	return qs, err == nil && len(servers) == 0 && len(fellows) == 0
}

// fellows are the other servers of this cluster in sight.
func (j *joining) fellows(clusterID string) []Member {
	return slices.DeleteFunc(j.members(), func(m Member) bool { return m.ClusterID != clusterID || m.NodeID == j.self.NodeID })
}
