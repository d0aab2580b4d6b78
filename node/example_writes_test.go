package node_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/pofresh/globalchannel/node"
)

// alone starts the only server of a cluster, connector-1.
func alone(ctx context.Context) *node.Node {
	n, err := node.Start(ctx, node.Config{SID: "connector-1", SType: "connector"})
	if err != nil {
		log.Fatal(err)
	}
	if err := n.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	return n
}

// A group takes effect as one, or not at all.
func ExampleNode_Apply() {
	ctx := context.Background()
	n := alone(ctx)
	defer n.Close()

	applied, err := n.Apply(ctx, node.AddOps("guild:7", "connector-1", "alice", "bob", "alice")...)
	fmt.Println(applied.Changed, err)

	ops := append(
		node.LeaveOps("guild:7", "connector-1", "alice", "bob"),
		node.Op{Kind: node.OpAdd, Name: "guild:8", UID: "alice", SID: "connector-9"}, // there is no such server
	)
	_, err = n.Apply(ctx, ops...)
	var refused *node.OpError
	if errors.As(err, &refused) {
		fmt.Println("refused:", refused.I, refused.Op.SID, errors.Is(err, node.ErrUnknownServer))
	}
	uids, err := n.MembersBySID(ctx, "guild:7", "connector-1") // nobody has left
	slices.Sort(uids)
	fmt.Println(uids, err)
	// Output:
	// [true true false] <nil>
	// refused: 2 connector-9 true
	// [alice bob] <nil>
}

// A connector makes one Session for each connection. A player who reconnects has
// two for a while, and the end of the first takes nothing from the second.
func ExampleNode_Session() {
	ctx := context.Background()
	n := alone(ctx)
	defer n.Close()
	in := func(name string) bool {
		uids, err := n.MembersBySID(ctx, name, "connector-1")
		if err != nil {
			log.Fatal(err)
		}
		return slices.Contains(uids, "alice")
	}

	first := n.Session("alice")
	for _, name := range []string{"world", "guild:7"} {
		if err := first.Add(ctx, name); err != nil {
			log.Fatal(err)
		}
	}
	second := n.Session("alice") // her network changed; the old socket is not dead yet
	if err := second.Add(ctx, "world"); err != nil {
		log.Fatal(err)
	}
	if err := first.Close(); err != nil { // now it is; Close does not wait, and needs no context
		log.Fatal(err)
	}
	if err := second.Add(ctx, "duel:1"); err != nil { // comes after the goodbye
		log.Fatal(err)
	}
	fmt.Println("world", in("world"), "guild:7", in("guild:7"), "duel:1", in("duel:1"))
	// Output:
	// world true guild:7 false duel:1 true
}
