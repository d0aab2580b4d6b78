package node_test

import (
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/node"
)

// What questions cost at a node, in a channel of 10,000 and beside one of 100.
func BenchmarkQuestions(b *testing.B) {
	ctx := b.Context()
	n, err := node.Start(ctx, server("c1", "connector"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.Ready(ctx); err != nil {
		b.Fatal(err)
	}
	for name, members := range map[string]int{"world": 10_000, "guild": 100} {
		for from := 0; from < members; from += 1000 {
			var uids []string
			for i := range min(members, 1000) {
				uids = append(uids, fmt.Sprint("player-", from+i))
			}
			if _, err := n.Apply(ctx, node.AddOps(name, "c1", uids...)...); err != nil {
				b.Fatal(err)
			}
		}
	}
	world, guild := node.Channel("world"), node.Channel("guild")
	for _, q := range []struct {
		name string
		ask  func() error
	}{
		{"Count", func() error { _, err := n.Count(ctx, "world"); return err }},
		{"Contains", func() error { _, err := n.Contains(ctx, "world", "player-77"); return err }},
		{"ChannelsOf", func() error { _, err := n.ChannelsOf(ctx, "player-77"); return err }},
		{"SIDsOf", func() error { _, err := n.SIDsOf(ctx, "player-77"); return err }},
		{"Channels", func() error { _, err := n.Channels(ctx, "w", "", 10); return err }},
		{"Select/world", func() error { _, err := n.Select(ctx, world); return err }},
		{"Select/world And guild", func() error { _, err := n.Select(ctx, world.And(guild)); return err }},
		{"Select/guild And world", func() error { _, err := n.Select(ctx, guild.And(world)); return err }},
		{"Select/world Except guild", func() error { _, err := n.Select(ctx, world.Except(guild)); return err }},
	} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := q.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
