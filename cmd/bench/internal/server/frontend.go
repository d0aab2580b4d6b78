package server

import (
	"context"
	"errors"
	"slices"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor"
	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/node"
)

// frontend is a node with a handler, and the ancestor's service beside it. Both count
// in the same way.
type frontend struct {
	*channelNode
	service *ancestor.Server
	counted tallies
}

func (c *child) openFrontend(ctx context.Context, o Node) (ancestor.Frontend, error) {
	f := &frontend{counted: newTallies()}
	n, err := c.startNode(ctx, o, nil, f.onPush)
	if err != nil {
		return ancestor.Frontend{}, err
	}
	f.channelNode = n
	if f.service, err = ancestor.Serve(ctx, f.serve); err != nil {
		return ancestor.Frontend{}, errors.Join(err, n.Close())
	}
	if err := c.open(f); err != nil {
		return ancestor.Frontend{}, errors.Join(err, f.close())
	}
	return ancestor.Frontend{SID: o.SID, Addr: f.service.Addr}, nil
}

func (f *frontend) onPush(_ context.Context, d *node.Delivery) ([]string, error) {
	t, err := f.counted.of(d.Route)
	if err != nil {
		return nil, err
	}
	return nil, t.deliver(d.UIDs())
}

// serve tells of an error by calling everybody offline: the ancestor has no other way.
func (f *frontend) serve(route string, _ []byte, uids []string) []string {
	t, err := f.counted.of(route)
	if err == nil {
		err = t.deliver(slices.Values(uids))
	}
	if err != nil {
		return uids
	}
	return nil
}

func (f *frontend) counts() tallies { return f.counted }

func (f *frontend) step(l Load) (func(caller int) load.Step, error) {
	if l.Churn == nil {
		return nil, errors.New("a frontend only changes channels")
	}
	change := func(kind node.OpKind) changing {
		return func(ctx context.Context, channels []string, sid, uid string) error {
			ops := make([]node.Op, 0, len(channels))
			for _, name := range channels {
				ops = append(ops, node.Op{Kind: kind, Name: name, UID: uid, SID: sid})
			}
			_, err := f.Apply(ctx, ops...)
			return err
		}
	}
	return l.Churn.steps(change(node.OpAdd), change(node.OpLeave)), nil
}

func (f *frontend) close() error {
	f.service.Close()
	return f.channelNode.close()
}
