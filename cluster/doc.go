// Package cluster knows who is there: it finds the servers by gossip, founds the
// cluster, brings servers into the Raft configuration and gives votes. It is not
// API; package node puts it together with Raft and the network, through the
// small interfaces of contract.go.
//
// It does not decide who is dead: gossip takes a pause or a starved process for
// a death, so nothing here is ever removed because gossip misses it. Removed are a
// node id whose address or sid a new one has taken, who asks for it, and who was
// silent for RemoveAfter, to Raft, the roll call and gossip alike.
//
// # One server's way in
//
// Open starts memberlist over the injected sockets (wire.go, stream.go,
// probes.go; seal.go drops and counts what no holder of the key has made) and tells the others a name, NODEID/INCARNATION, with a few bytes
// of metadata (metadata.go). memberlist's callbacks (delegate.go) check what
// comes in and keep a table of our own (directory.go), because memberlist's
// nodes may only be read under its lock. seeds.go tries the configured and all
// known addresses again and again, for the life of the process; what the seeds mean
// (names, SRV records, a file, the host's callback: ways.go) is asked anew each time,
// in a way that harms nobody if the answer does not come (source.go).
//
// The loop in cluster.go then takes steps, each time something changes:
//
//  1. A cluster id is in sight: it is recorded (promise.go, the durable part) and
//     announced in our own metadata.
//  2. None is, and this server is one of the Expect founders: when exactly that
//     many have been in sight for a second, the one with the smallest node id
//     proposes the set and a new cluster id, asks each founder for a durable
//     promise, and when all have promised decides, durably (found.go,
//     founders.go). Founders who see the id they promised write the same
//     first Raft entry as the proposer.
//  3. With a cluster id, the server asks the leader to be in the configuration
//     under its present address (join.go), once after each start, until answered. If
//     all its seeds are another cluster's, it ends with their reason (astray.go).
//
// The leader's answer is in admit.go; a joiner becomes a non-voter. While a node
// leads, voting.go gives and takes votes, one change at a time: tally.go makes of the
// roll call's answers, of gossip and of Raft's heartbeats who is there, caught up, lost
// or gone, and voters.go, which knows no clock and no network, decides. withdraw.go is
// how a server gets rid of its own vote.
//
// # Goroutines of a Cluster
//
//	run    the loop above; makes the promise and join calls; woken by the
//	       directory's changes, seeds and a timer
//	seeds  joins gossip addresses, up to 64 at once
//	source one for each seed that has to be looked up, while it is; a callback that
//	       does not return outlives Close, which says so
//	wire   one reads packets, one accepts streams, one for each incoming stream until
//	       its frame is there; memberlist's own goroutines hang on these and on probes
//
// Close ends them all and waits.
package cluster
