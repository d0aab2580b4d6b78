package cluster

import "slices"

// namer tells whose a node id is. The state is asked first: it knows the holder of
// every sid, also of one that has not started since all machines restarted, and of
// lives that are over. Gossip knows besides those whose sid has gone to another
// node, as long as they have been in sight since this process began.
type namer struct {
	lives    func() []Life
	gossiped func(nodeID string) string
}

// sid of a node id, "" if nobody knows it. Of several (its data directory was started
// under another name) it is the one that is up, or was the last.
func (n namer) sid(nodeID string) string {
	var found Life
	for _, l := range n.lives() {
		if l.NodeID != nodeID || l.Via != "" {
			continue
		}
		if found.SID == "" || l.Up && !found.Up || l.Up == found.Up && l.Changed > found.Changed {
			found = l
		}
	}
	if found.SID != "" {
		return found.SID
	}
	return n.gossiped(nodeID)
}

// holder is the node that has registered a sid, "" if none has.
func (n namer) holder(sid string) string {
	lives := n.lives()
	i := slices.IndexFunc(lives, func(l Life) bool { return l.SID == sid && l.Via == "" })
	if sid == "" || i < 0 {
		return ""
	}
	return lives[i].NodeID
}

// replaced: the sid of this node has been registered by another one, which is in the
// configuration itself. A directory was lost, or there never was one.
func (n namer) replaced(nodeID, sid string, servers []Server) bool {
	holder := n.holder(sid)
	return holder != "" && holder != nodeID &&
		slices.ContainsFunc(servers, func(s Server) bool { return s.NodeID == holder })
}
