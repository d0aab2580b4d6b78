package node

import (
	"context"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/transport"
)

// reach finds out whether a server that Raft calls in vain is there again. It
// satisfies transport.Reach.
type reach struct {
	port      *transport.Port
	addresses *addresses
}

// Probe implements transport.Reach.
func (r reach) Probe(ctx context.Context, id raft.ServerID, addr raft.ServerAddress) error {
	if started := r.addresses.raft.Load(); started != nil && !configured(started, id) {
		return transport.ErrNoPeer
	}
	if newest, err := r.addresses.ServerAddr(id); err == nil {
		addr = newest
	}
	return r.port.ProbeRaft(ctx, addr)
}

// Cut implements transport.Reach.
func (r reach) Cut(id raft.ServerID) { r.port.CutRaft(string(id)) }

func configured(r *raft.Raft, id raft.ServerID) bool {
	for _, s := range r.GetConfiguration().Configuration().Servers {
		if s.ID == id {
			return true
		}
	}
	return false
}
