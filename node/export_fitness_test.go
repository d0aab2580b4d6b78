package node

// MayLead is what the node says of itself in a ping.
func (n *Node) MayLead() (ok bool, reason string) { return n.mayLead() }
