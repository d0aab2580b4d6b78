package node

import "context"

// MaxManagerStuck is how many calls may be stuck.
const MaxManagerStuck = maxManagerStuck

// PushTarget is a frontend as a push with a ChannelManager finds it.
type PushTarget struct {
	SID    string
	Epoch  uint64
	UIDs   []string
	Reason string // the manager failed
}

// PushTargets are whom a push would go to: those with members, then those that failed.
func (n *Node) PushTargets(ctx context.Context, name, stype string) (all []PushTarget, index uint64, err error) {
	targets, failed, index, err := n.managed.targets(ctx, name, stype)
	for _, t := range targets {
		all = append(all, PushTarget{SID: t.Server.SID, Epoch: t.Server.Epoch, UIDs: t.UIDs})
	}
	for _, t := range failed {
		all = append(all, PushTarget{SID: t.server.SID, Epoch: t.server.Epoch, Reason: t.reason})
	}
	return all, index, err
}
