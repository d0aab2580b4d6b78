package node

import (
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
	Leader       string // sid of the leader; "" if none is known, or its sid is not
	LeaderNodeID string // "" if none is known
	Addr         string
	Term         uint64
	Applied      uint64         // index of the replica
	Epoch        uint64         // of this life; 0 before it is registered
	Age          *time.Duration // of the replica; nil: not measured yet
	Ready        bool
	Problem      string // in words; "" if there is none
}

// Status reports without waiting for anybody.
func (n *Node) Status() Status {
	roles, leaderID := n.roles()
	epoch, waits := n.life.now()
	s := Status{
		SID: n.cfg.SID, SType: n.cfg.SType, NodeID: n.nodeID, Incarnation: n.incarnation,
		ClusterID: n.store.Identity.Load().ClusterID, Role: roles[n.nodeID], LeaderNodeID: leaderID, Addr: n.port.Addr(),
		Term: n.consensus.term(), Applied: n.replica.Index(), Epoch: epoch,
	}
	n.replica.View(func(state *fsm.State) {
		for _, server := range state.Servers() {
			if server.NodeID == leaderID && server.Via == "" && leaderID != "" {
				s.Leader = server.SID
			}
		}
	})
	select {
	case <-n.life.ready:
		s.Ready = n.Err() == nil && !n.closing.Load()
	default:
	}
	s.Problem = n.problem(leaderID, waits)
	return s
}

func (n *Node) problem(leaderID, waits string) string {
	var problems []string
	if err := n.Err(); err != nil {
		problems = append(problems, err.Error())
	}
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
				roles[s.NodeID] = "voter"
			}
		}
	}
	leaderID, _ = n.consensus.Leader()
	return roles, leaderID
}
