package node

import (
	"context"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// Status is what an operator asks a node at 3 a.m.
type Status struct {
	SID, SType   string
	NodeID       string
	Incarnation  string
	ClusterID    string // "" before the node has found its cluster
	Role         string // voter, replica, or "" while not in the configuration
	Voters       int    // servers that have a vote, up or not, in the newest configuration that this one knows
	Leader       string // sid of the leader; "" if none is known, or its sid is not
	LeaderNodeID string // "" if none is known
	Addr         string
	Term         uint64
	Applied      uint64         // index of the replica
	Level        uint32         // feature level of the replica: it rises once every server of the cluster runs a binary that knows it
	Epoch        uint64         // of this life; 0 before it is registered
	Age          *time.Duration // of the replica: time since it had all that was acknowledged anywhere; nil: not measured yet
	Ready        bool
	Problem      string // in words; "" if there is none
}

const roleVoter = "voter"

// agePolled is the age from which on a question for the status measures it anew,
// agePatience what the service waits for that.
const (
	agePolled   = time.Second
	agePatience = 200 * time.Millisecond
)

// Status reports without waiting for anybody. The Age is measured by writes and by
// reads that ask the leader; where it is unknown or above 1 s, and a leader is known,
// Status asks in the background, so that whoever polls it sees a true age: on the leader
// too, which has to commit an empty command for it. The public service waits for that,
// at most 200 ms.
func (n *Node) Status() Status {
	if n.ageUnsure() {
		n.reader.refresh.measure()
	}
	return n.status()
}

// status asks nobody.
func (n *Node) status() Status {
	roles, leaderID := n.roles()
	ready := n.life.isReady() && n.Err() == nil && !n.closing.Load()
	epoch, waits := n.life.now() // after ready, which says that there is one
	s := Status{
		SID: n.cfg.SID, SType: n.cfg.SType, NodeID: n.nodeID, Incarnation: n.incarnation,
		ClusterID: n.store.Identity.Load().ClusterID, Role: roles[n.nodeID], LeaderNodeID: leaderID, Addr: n.port.Addr(),
		Term: n.consensus.term(), Applied: n.replica.Index(), Level: n.replica.Level(), Epoch: epoch, Ready: ready,
	}
	for _, role := range roles {
		if role == roleVoter {
			s.Voters++
		}
	}
	if old, known := n.reader.old(); known {
		s.Age = &old
	}
	n.replica.Read(func(state fsm.Reads) {
		for _, server := range state.Servers() {
			if server.NodeID == leaderID && server.Via == "" && leaderID != "" {
				s.Leader = server.SID
			}
		}
	})
	s.Problem = n.problem(leaderID, waits)
	return s
}

// ageUnsure reports that the age should be measured anew, and that a leader is
// known who can be asked.
func (n *Node) ageUnsure() bool {
	old, known := n.reader.old()
	return (!known || old > agePolled) && n.reader.known()
}

// awaitAge measures the age if it should be, but waits no longer than agePatience.
func (n *Node) awaitAge(ctx context.Context) {
	if !n.ageUnsure() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, agePatience)
	defer cancel()
	_ = n.reader.renew(ctx, time.Now().Add(-agePolled)) // failing that, the status tells an old age, or none
}

func (n *Node) problem(leaderID, waits string) string {
	var problems []string
	if err := n.Err(); err != nil {
		problems = append(problems, err.Error())
	}
	if p, _ := n.auditor.trouble(); p != "" && n.consensus.fitness.distrusted() == nil {
		problems = append(problems, p)
	}
	problems = append(problems, n.consensus.fitness.doubts()...)
	if p := n.cluster.Problem(); p != "" {
		problems = append(problems, p)
	} else if leaderID == "" {
		problems = append(problems, "no leader is known: writes wait until a majority of voters is up")
	}
	if waits != "" {
		problems = append(problems, waits)
	}
	return strings.Join(problems, "; ")
}

// roles are the configuration's, by node id, and the leader's node id.
func (n *Node) roles() (roles map[string]string, leaderID string) {
	roles = make(map[string]string)
	servers, err := n.consensus.Configuration()
	if err == nil {
		for _, s := range servers {
			roles[s.NodeID] = "replica"
			if s.Voter {
				roles[s.NodeID] = roleVoter
			}
		}
	}
	leaderID, _ = n.consensus.Leader()
	return roles, leaderID
}
