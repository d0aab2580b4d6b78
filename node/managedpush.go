package node

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// failedTarget is a frontend whose members the manager has not told: it may have some.
type failedTarget struct {
	server fsm.Server
	reason string // fit for a report
}

// targets are the frontends of a type that have members, with these, for a push by value.
// The manager is asked once for each that is up, side by side. It gets at most half of
// ctx's time: so one server that it is slow about does not cost the others their push.
// Both lists are in the order of sids; err is about the whole push, of which nothing was
// asked then. index is of the replica that knew the servers.
func (m *managed) targets(ctx context.Context, name, stype string) (targets []fsm.Target, failed []failedTarget, index uint64, err error) {
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	if err := m.admit(ctx); err != nil {
		return nil, nil, 0, err
	}
	servers, index, err := m.servers(ctx, stype)
	if err != nil {
		return nil, nil, index, err
	}
	deadline, _ := ctx.Deadline() // bounded's, at least
	ctx, cancelAsking := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancelAsking()
	for _, a := range m.askAll(ctx, name, servers) {
		switch {
		case a.err != nil:
			failed = append(failed, failedTarget{server: a.server, reason: sendable(a.err.Error())})
		case len(a.uids) > 0:
			targets = append(targets, fsm.Target{Server: a.server, UIDs: a.uids})
		}
	}
	return targets, failed, index, nil
}
