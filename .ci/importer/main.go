// Command importer shows that a foreign module can build and run a node.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/pofresh/globalchannel/node"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n, err := node.Start(ctx, node.Config{SID: "a", SType: "b"})
	if err != nil {
		log.Fatal(err)
	}
	if err := n.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	if err := n.Add(ctx, "world", "alice", "a"); err != nil {
		log.Fatal(err)
	}
	uids, err := n.MembersBySID(ctx, "world", "a")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(uids)
	if err := n.Close(); err != nil {
		log.Fatal(err)
	}
}
