package server

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
)

// tallies count pushes, by route. All routes are in it from the start, so that to
// count needs no lock and allocates nothing.
type tallies map[string]*tally

type tally struct{ pushes, failed, deliveries, uids atomic.Uint64 }

func newTallies() tallies {
	t := make(tallies)
	for _, route := range Routes {
		t[route] = &tally{}
	}
	return t
}

func (t tallies) of(route string) (*tally, error) {
	if counts, ok := t[route]; ok {
		return counts, nil
	}
	return nil, fmt.Errorf("route %q is not counted", route)
}

// deliver is what handlers do: they look at every receiver.
func (t *tally) deliver(uids iter.Seq[string]) error {
	n, empty := uint64(0), false
	for uid := range uids {
		n++
		empty = empty || uid == ""
	}
	if empty {
		return fmt.Errorf("a uid of %d is empty", n)
	}
	t.deliveries.Add(1)
	t.uids.Add(n)
	return nil
}

// counter is a target that counts pushes.
type counter interface{ counts() tallies }

func (c *child) count(ctx context.Context, o Counting) (Tally, error) {
	t, err := c.opened()
	if err != nil {
		return Tally{}, err
	}
	who, ok := t.(counter)
	if !ok {
		return Tally{}, fmt.Errorf("this process counts no pushes")
	}
	counts, err := who.counts().of(o.Route)
	if err != nil {
		return Tally{}, err
	}
	if o.Collect {
		runtime.GC()
	}
	foreign, err := t.foreignCPU(ctx)
	if err != nil {
		return Tally{}, err
	}
	own, err := meter.CPU()
	if err != nil {
		return Tally{}, err
	}
	memory, err := meter.ReadMemory()
	sent := c.traffic.Sent()
	return Tally{
		At: meter.Now(), CPU: own + foreign, Memory: memory, TCP: sent.Dialled + sent.Accepted + sent.Received,
		Pushes: counts.pushes.Load(), Failed: counts.failed.Load(), Deliveries: counts.deliveries.Load(), UIDs: counts.uids.Load(),
	}, err
}
