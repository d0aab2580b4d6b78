package node_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/pofresh/globalchannel/node"
)

// Who is in a guild, who of them is in a raid as well, and who is in it but muted.
func ExampleNode_Select() {
	ctx := context.Background()
	n := alone(ctx)
	defer n.Close()
	for name, uids := range map[string][]string{"guild:7": {"alice", "bob", "carol"}, "raid:1": {"bob", "carol", "dave"}, "muted": {"carol"}} {
		if _, err := n.Apply(ctx, node.AddOps(name, "connector-1", uids...)...); err != nil {
			log.Fatal(err)
		}
	}
	guild, raid := node.Channel("guild:7"), node.Channel("raid:1")
	for _, a := range []node.Audience{
		node.Channel("guild:7", "raid:1"),
		guild.And(raid),
		guild.Except(node.Channel("muted")),
		raid.Except(guild).And(node.UIDs("dave", "nobody")),
	} {
		members, err := n.Select(ctx, a)
		if err != nil {
			log.Fatal(err)
		}
		var list []string
		for m := range members {
			list = append(list, m.UID+" on "+m.SID)
		}
		slices.Sort(list)
		fmt.Println(list)
	}
	// Output:
	// [alice on connector-1 bob on connector-1 carol on connector-1 dave on connector-1]
	// [bob on connector-1 carol on connector-1]
	// [alice on connector-1 bob on connector-1]
	// [dave on connector-1]
}

// All channels of a kind, page by page.
func ExampleNode_Channels() {
	ctx := context.Background()
	n := alone(ctx)
	defer n.Close()
	for i := range 5 {
		if err := n.Add(ctx, fmt.Sprint("guild:", i), "alice", "connector-1"); err != nil {
			log.Fatal(err)
		}
	}
	const limit = 2
	for after := ""; ; {
		page, err := n.Channels(ctx, "guild:", after, limit)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(page)
		if len(page) < limit {
			break
		}
		after = page[limit-1]
	}
	in, err := n.Contains(ctx, "guild:4", "alice")
	fmt.Println(in, err)
	// Output:
	// [guild:0 guild:1]
	// [guild:2 guild:3]
	// [guild:4]
	// true <nil>
}
