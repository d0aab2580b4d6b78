package node

import (
	"context"
	"github.com/pofresh/globalchannel/cluster"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Write is Add, Leave and Destroy with what the state says of it: whether
// the operation had an effect.
func (n *Node) Write(ctx context.Context, op Op) (index uint64, changed bool, err error) {
	a, err := n.write(ctx, op)
	return a.index, a.changed, err
}

// Hash tells two replicas apart.
func (n *Node) Hash() (index uint64, sum string) { return n.replica.Hash() }

// EndLife declares a life over as the leader does; n must lead.
func (n *Node) EndLife(ctx context.Context, sid string, epoch uint64) error {
	_, err := (&peerServer{node: n}).Unregister(ctx, &peerpb.UnregisterRequest{Sid: sid, Epoch: epoch})
	return err
}

// Halt gives this node's replica an entry of an unknown format.
func (n *Node) Halt() {
	n.replica.Apply(&raft.Log{Type: raft.LogCommand, Index: n.replica.Index() + 1, Data: []byte{0xff}})
}

// HandOver gives leadership away as Close does; n must lead.
func (n *Node) HandOver(ctx context.Context) error { return n.consensus.handOver(ctx, n.successors) }

// LastIndex is the last index of this node's log.
func (n *Node) LastIndex() uint64 { return n.consensus.LastIndex() }

// Gossip is who gossip shows.
func (n *Node) Gossip() []cluster.Member { return n.cluster.Members() }

// ConfiguredAddrs are the addresses in the Raft configuration, by node id.
func (n *Node) ConfiguredAddrs() map[string]string {
	addrs := make(map[string]string)
	servers, _ := n.consensus.Configuration()
	for _, s := range servers {
		addrs[s.NodeID] = s.Addr
	}
	return addrs
}

// ConfiguredVoters are the node ids that vote.
func (n *Node) ConfiguredVoters() []string {
	var ids []string
	servers, _ := n.consensus.Configuration()
	for _, s := range servers {
		if s.Voter {
			ids = append(ids, s.NodeID)
		}
	}
	return ids
}

// Level is what this node's replica shows of the feature level.
func (n *Node) Level() uint32 { return n.replica.Level() }

// NewestLevel is what this binary knows.
const NewestLevel = fsm.Version

// Records counts the sids that this node's replica knows, ended lives too.
func (n *Node) Records() (count int) {
	n.replica.View(func(s *fsm.State) { count = len(s.Records()) })
	return count
}

// Parked counts the memberships of ended lives in this node's replica.
func (n *Node) Parked() (parked int) {
	n.replica.View(func(s *fsm.State) { parked = s.Stats().Parked })
	return parked
}

// Configured are the servers of the configuration, by node id; true: it votes.
func Configured(n *Node) map[string]bool {
	all := make(map[string]bool)
	servers, _ := n.consensus.Configuration()
	for _, s := range servers {
		all[s.NodeID] = s.Voter
	}
	return all
}

// ToldOver is what the leader's roll call says.
func (n *Node) ToldOver(epoch uint64) { n.life.toldOver(epoch) }

// IsClosing: Close has begun, or the part of Decommission that is one.
func (n *Node) IsClosing() bool { return n.closing.Load() }
