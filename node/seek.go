package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// seekInterval is how often a node that takes no part in Raft asks who leads.
const seekInterval = 500 * time.Millisecond

// seek finds the leader for a node whose Raft is cut off from the others because its
// disk has failed: it goes on as a frontend that forwards its writes.
func (n *Node) seek() {
	for n.ctx.Err() == nil {
		silent, changed := n.consensus.silence()
		if !silent {
			select {
			case <-changed:
			case <-n.ctx.Done():
			}
			continue
		}
		n.consensus.found(n.leaderElsewhere())
		wait(n.ctx, seekInterval)
	}
}

// leaderElsewhere asks the leader that was found last whether it still leads, and if it
// does not, everybody.
func (n *Node) leaderElsewhere() leaderAddress {
	if id, addr := n.consensus.Leader(); id != "" {
		last := cluster.Server{NodeID: id, Addr: addr}
		if answer := n.ask(n.ctx, []cluster.Server{last})[id]; answer.GetLeader() {
			return leaderAddress{id, addr}
		}
	}
	servers := n.everybodyElse()
	answers := n.ask(n.ctx, servers)
	servers = slices.DeleteFunc(servers, func(s cluster.Server) bool { return !answers[s.NodeID].GetLeader() })
	if len(servers) == 0 {
		return leaderAddress{}
	}
	// One that was cut off may believe for a moment that it still leads.
	newest := slices.MaxFunc(servers, func(a, b cluster.Server) int { return later(answers[a.NodeID], answers[b.NodeID]) })
	return leaderAddress{newest.NodeID, newest.Addr}
}

func later(a, b *peerpb.PingResponse) int {
	return cmp.Or(cmp.Compare(a.GetLastTerm(), b.GetLastTerm()), cmp.Compare(a.GetLastIndex(), b.GetLastIndex()))
}

// everybodyElse are the servers of the configuration, which stands still here, and
// those that gossip knows, at their newest addresses.
func (n *Node) everybodyElse() []cluster.Server {
	all := make(map[string]cluster.Server)
	servers, _ := n.consensus.Configuration() // answered from memory
	for _, s := range servers {
		all[s.NodeID] = s
	}
	for _, m := range n.cluster.Members() {
		all[m.NodeID] = cluster.Server{NodeID: m.NodeID, Addr: m.Addr}
	}
	delete(all, n.nodeID)
	list := make([]cluster.Server, 0, len(all))
	for _, s := range all {
		list = append(list, s)
	}
	return list
}
