package node

// Compact takes a snapshot, and shortens the log as if many bytes had come.
func (n *Node) Compact() { n.consensus.compaction.snapshot() }
