package node

import "context"

// Write is Add, Leave and Destroy with what the state says of it: whether
// the operation had an effect.
func (n *Node) Write(ctx context.Context, op Op) (index uint64, changed bool, err error) {
	a, err := n.write(ctx, op)
	return a.index, a.changed, err
}

// Hash tells two replicas apart.
func (n *Node) Hash() (index uint64, sum string) { return n.replica.Hash() }
