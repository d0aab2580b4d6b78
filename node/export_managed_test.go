package node

import (
	"cmp"
	"context"
	"slices"
)

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
	at, err := n.managed.aim(ctx, name, stype)
	for _, t := range at.targets {
		all = append(all, PushTarget{SID: t.Server.SID, Epoch: t.Server.Epoch, UIDs: t.UIDs, Reason: at.missed[t.Server.SID]})
	}
	slices.SortStableFunc(all, func(a, b PushTarget) int { return cmp.Compare(len(a.Reason), 0) - cmp.Compare(len(b.Reason), 0) })
	return all, at.index, err
}
