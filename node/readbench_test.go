package node_test

import (
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// What a read costs beside the list that it returns: none of these allocates for
// its freshness.
func BenchmarkReader_Default(b *testing.B) {
	ctx := b.Context()
	n, err := node.Start(ctx, server("c1", "connector"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	for _, members := range []int{0, 100} {
		name := fmt.Sprint("world-", members)
		for i := range members {
			if err := n.Add(ctx, name, fmt.Sprint("player-", i), "c1"); err != nil {
				b.Fatal(err)
			}
		}
		for _, kind := range []struct {
			name string
			opts []node.ReadOption
		}{{"default", nil}, {"stale", []node.ReadOption{node.Stale()}}} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, members), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := n.MembersBySID(ctx, name, "c1", kind.opts...); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
