package cluster

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Every method runs under memberlist's lock,
// concurrently with all of ours: it copies what it is given, because the node
// behind the pointer changes under that lock, and does nothing but note it.
type delegate struct {
	dir  *directory
	meta *announcement
	name string
}

// announcement is our own metadata, encoded.
type announcement struct {
	metadata
	mu      sync.Mutex // guards encoded
	encoded []byte
}

func (a *announcement) announce(clusterID string) error {
	m := a.metadata
	m.ClusterID = clusterID
	b, err := m.encode()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.encoded = b
	return nil
}

func (d *delegate) NodeMeta(int) []byte {
	d.meta.mu.Lock()
	defer d.meta.mu.Unlock()
	return d.meta.encoded
}

// NotifyAlive decides before memberlist believes; an error drops the message.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	if n.Name == d.name {
		return nil
	}
	e, err := decodeNode(n)
	return d.dir.admit(n.Name, e, err)
}

// NotifyConflict: a name that is known comes from another address. memberlist has
// dropped it already.
func (d *delegate) NotifyConflict(_, _ *memberlist.Node) { d.dir.reject(errMoved) }

func (d *delegate) NotifyJoin(n *memberlist.Node)   { d.note(n) }
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.note(n) }

func (d *delegate) NotifyLeave(n *memberlist.Node) {
	if n.Name != d.name {
		d.dir.drop(n.Name)
	}
}

func (d *delegate) note(n *memberlist.Node) {
	if n.Name == d.name {
		return
	}
	if e, err := decodeNode(n); err == nil {
		d.dir.put(e)
	}
}

// Nothing of ours travels beside the metadata.

func (d *delegate) NotifyMsg([]byte)                {}
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// decodeNode checks everything that a packet could have put there.
func decodeNode(n *memberlist.Node) (entry, error) {
	nodeID, incarnation, ok := splitGossipName(n.Name)
	if !ok {
		return entry{}, fmt.Errorf("gossip name %q is not NODEID/INCARNATION", n.Name)
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	ip = ip.Unmap()
	if !ok || n.Port == 0 || ip.IsUnspecified() || ip.IsMulticast() {
		return entry{}, fmt.Errorf("gossip address %v:%d cannot be dialled", n.Addr, n.Port)
	}
	m, err := decodeMetadata(n.Meta)
	if err != nil {
		return entry{}, err
	}
	at := netip.AddrPortFrom(ip, n.Port).String()
	e := entry{
		Member:     Member{NodeID: nodeID, Incarnation: incarnation, SID: m.SID, Addr: at, ClusterID: m.ClusterID, Expect: m.Expect},
		gossipAddr: at,
		started:    m.Started,
	}
	if m.Addr != "" {
		e.Addr = m.Addr
	}
	return e, nil
}
