package node_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/pofresh/globalchannel/node"
)

// A game server embeds a node: it accepts players once the node is ready, puts
// them into channels, and gets the pushes for them.
func Example() {
	ctx := context.Background()
	n, err := node.Start(ctx, node.Config{
		SID: "connector-1", SType: "connector", // add DataDir, Listen, Join, Expect and Secret for a real cluster
		OnPush: func(_ context.Context, d *node.Delivery) (offline []string, err error) {
			for uid := range d.UIDs() { // hand it to the sessions; name those that are not there
				fmt.Printf("to %s: %s %s\n", uid, d.Route, d.Msg)
			}
			return nil, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close() // its players are gone everywhere at once
	if err := n.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	if err := n.Add(ctx, "guild:7", "alice", "connector-1"); err != nil {
		log.Fatal(err)
	}
	result, err := n.PushMessage(ctx, "connector", "chat.say", []byte("hello"), "guild:7", node.PushOptions{})
	fmt.Println(result.OK(), err, slices.Collect(result.Undelivered()))
	// Output:
	// to alice: chat.say hello
	// true <nil> []
}
