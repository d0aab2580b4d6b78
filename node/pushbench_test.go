package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// One push to ten frontends until all have answered, over loopback, all in this process:
// what it costs both ends together. Cache and wire are as between processes, the
// scheduler is not; cmd/bench measures that.
func BenchmarkPush_TenFrontends(b *testing.B) {
	ctx := b.Context()
	start := func(cfg node.Config) *node.Node {
		n, err := node.Start(ctx, cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = n.Close() })
		if err := n.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		return n
	}
	var handled atomic.Int64
	count := func(_ context.Context, d *node.Delivery) ([]string, error) {
		n := int64(0)
		for range d.UIDs() {
			n++
		}
		handled.Add(n)
		return nil, nil
	}
	pusher := start(server("pusher", "chat"))
	for i := range 10 {
		cfg := server(fmt.Sprint("connector-", i), "connector")
		cfg.Join, cfg.NonVoter, cfg.OnPush = []string{pusher.Self().Addr}, true, count
		start(cfg)
	}
	const channels = 64
	for _, members := range []int{100, 10_000} {
		for c := range channels {
			if members > 100 && c > 0 {
				break
			}
			for i := range 10 {
				for from := 0; from < members; from += 1000 {
					uids := make([]string, min(1000, members))
					for j := range uids {
						uids[j] = fmt.Sprintf("player-%06d", i*members+from+j)
					}
					ops := node.AddOps(fmt.Sprint("world-", members, "-", c), fmt.Sprint("connector-", i), uids...)
					if _, err := pusher.Apply(ctx, ops...); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		msg := make([]byte, 256)
		for _, callers := range []int{1, 4, 64} {
			b.Run(fmt.Sprintf("members=%d/callers=%d", members, callers), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(callers)
				var next, pushes atomic.Int64
				before := handled.Load()
				b.RunParallel(func(pb *testing.PB) {
					c := int(next.Add(1))
					if members > 100 {
						c = 0
					}
					name := fmt.Sprint("world-", members, "-", c%channels)
					for pb.Next() {
						r, err := pusher.PushMessage(ctx, "connector", "chat", msg, name, node.PushOptions{})
						if err != nil || !r.OK() {
							b.Errorf("%v %+v", err, r)
							return
						}
						pushes.Add(1)
					}
				})
				if got, want := handled.Load()-before, pushes.Load()*10*int64(members); got != want {
					b.Errorf("%d deliveries, want %d", got, want)
				}
			})
		}
	}
}
