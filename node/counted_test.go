package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// counted writes without a pause on some servers until it is checked, and keeps what
// was acknowledged.
type counted struct {
	cancel  context.CancelFunc
	group   sync.WaitGroup
	mu      sync.Mutex // guards what follows
	acked   []string
	failed  int           // with an error
	open    int           // when the writing ended
	longest time.Duration // of a call that succeeded
}

const countedPace = 20 * time.Millisecond

func count(ctx context.Context, f *nodetest.Fleet, sids ...string) *counted {
	ctx, cancel := context.WithCancel(ctx)
	c := &counted{cancel: cancel}
	for _, sid := range sids {
		n := f.Node(sid)
		c.group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c.write(ctx, n, fmt.Sprint(sid, "-", i))
				pause(ctx, countedPace)
			}
		})
	}
	return c
}

func (c *counted) write(ctx context.Context, n *node.Node, uid string) {
	began := time.Now()
	err := n.Add(ctx, "counted", uid, n.Self().SID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && ctx.Err() != nil {
		c.open++ // it may have taken effect all the same
		return
	} else if err != nil {
		c.failed++
		return
	}
	c.acked = append(c.acked, uid)
	c.longest = max(c.longest, time.Since(began))
}

// check ends the writing and finds everything that was acknowledged, once, on every
// server that runs.
func (c *counted) check(t *testing.T, ctx context.Context, f *nodetest.Fleet) {
	t.Helper()
	c.cancel()
	c.group.Wait()
	slices.Sort(c.acked)
	f.WaitEqual(ctx)
	for _, n := range f.Nodes() {
		members, err := n.Members(ctx, "counted")
		if err != nil {
			t.Error(err)
			continue
		}
		var there []string
		for m := range members {
			there = append(there, m.UID)
		}
		slices.Sort(there)
		if len(slices.Compact(slices.Clone(there))) != len(there) {
			t.Errorf("%s has members twice", n.Self().SID)
		}
		lost := 0
		for _, uid := range c.acked {
			if _, ok := slices.BinarySearch(there, uid); !ok {
				lost++
			}
		}
		if lost > 0 || len(c.acked) == 0 || len(there) > len(c.acked)+c.failed+c.open {
			t.Errorf("%s: of %d acknowledged %d are lost; %d are there, %d calls failed", n.Self().SID, len(c.acked), lost, len(there), c.failed)
		}
	}
	t.Logf("%d acknowledged, all there; %d calls failed, the longest took %v", len(c.acked), c.failed, c.longest)
}
