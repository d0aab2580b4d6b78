package node

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// aim is where a push to a channel goes: the frontends of a type that have members, with
// these, for a push by value. The manager is asked once for each that is up, side by side.
// It gets at most half of ctx's time: so one server that it is slow about does not cost the
// others their push. Of a server that it does not tell about nobody knows the members.
func (m *managed) aim(ctx context.Context, name, stype string) (aim, error) {
	at := aim{given: true, missed: make(map[string]string)}
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	if err := m.admit(ctx); err != nil {
		return at, err
	}
	servers, index, err := m.servers(ctx, stype)
	if at.index = index; err != nil {
		return at, err
	}
	deadline, _ := ctx.Deadline() // bounded's, at least
	ctx, cancelAsking := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancelAsking()
	for _, a := range m.askAll(ctx, name, servers) {
		if a.err != nil {
			at.missed[a.server.SID] = sendable("the channel manager: " + a.err.Error())
		} else if len(a.uids) == 0 {
			continue
		}
		at.targets = append(at.targets, fsm.Target{Server: a.server, Members: len(a.uids), UIDs: a.uids})
	}
	return at, nil
}
