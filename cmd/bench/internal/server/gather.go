package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/node"
)

const (
	gathered      = 2000 // operations in a group: less than a group may have, of names as long as these
	gatherTimeout = time.Minute
)

// gather makes channels, and returns the index at which they are there.
func (c *child) gather(ctx context.Context, g Gathering) (Index, error) {
	t, err := c.opened()
	if err != nil {
		return Index{}, err
	}
	p, ok := t.(*pusher)
	if !ok {
		return Index{}, errors.New("this process is no pusher")
	}
	b := basket{pusher: p}
	for i, channel := range g.Channels {
		for f, sid := range g.SIDs {
			if err := b.add(ctx, channel, sid, g.uids(i, f)); err != nil {
				return Index{}, fmt.Errorf("gather %s on %s: %w", channel, sid, err)
			}
		}
	}
	err = b.apply(ctx)
	return Index{Index: b.index}, err
}

// basket has the operations of the next group.
type basket struct {
	pusher *pusher
	ops    []node.Op
	index  uint64 // of the last group
}

// add makes the members of a channel on a server.
func (b *basket) add(ctx context.Context, channel, sid string, uids []string) error {
	for _, uid := range uids {
		b.ops = append(b.ops, node.Op{Kind: node.OpAdd, Name: channel, UID: uid, SID: sid})
		if len(b.ops) < gathered {
			continue
		}
		if err := b.apply(ctx); err != nil {
			return err
		}
	}
	if b.pusher.other == nil {
		return nil
	}
	return b.pusher.other.Gather(ctx, channel, sid, uids)
}

func (b *basket) apply(ctx context.Context) error {
	if len(b.ops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	done, err := b.pusher.Apply(ctx, b.ops...)
	b.index, b.ops = done.Index, b.ops[:0]
	return err
}

// uids are the members of a channel on a frontend.
func (g Gathering) uids(channel, frontend int) []string {
	uids := make([]string, 0, g.Each)
	for i := range g.Each {
		uids = append(uids, fmt.Sprintf("player-%06d", frontend*g.Players+(channel*g.Each+i)%g.Players))
	}
	return uids
}
