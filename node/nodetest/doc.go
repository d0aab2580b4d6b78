// Package nodetest runs whole clusters inside one test, over an in-memory
// network: real nodes, real Raft, real gossip, no socket and no file.
//
//	fleet := nodetest.Cluster(t,
//		node.Config{SID: "connector-1", SType: "connector", OnPush: deliver},
//		node.Config{SID: "connector-2", SType: "connector", OnPush: deliver},
//		node.Config{SID: "chat-1", SType: "chat"},
//	)
//	fleet.WaitReady(ctx)
//	fleet.Node("chat-1").Add(ctx, "world", "alice", "connector-1")
//	fleet.Kill("connector-2")
//
// # A kill
//
// Each server runs on a simulated machine of its own, with one IP address and one
// disk per DataDir. Kill does to it what SIGKILL does: its sockets die at once, and
// nothing that the dying node still does reaches another machine or the disk. Only
// afterwards, in the background, is what is left of it in this process cleaned up.
// Restart starts the same Config on the same machine, so with the same disk and
// node id, as a new life. The machine's network knows that it is dead (it is a
// sim.Machine), so the cleaning up says no goodbyes.
//
// Move and MoveTo start it with its disk on another machine, so at another address.
//
// # Other faults
//
// Cut and Isolate make the network lose what is sent, CutGossip what is gossiped,
// CutPackets and CutStreams one kind of it, until Heal. SetWeather delays, loses, doubles
// and reorders it. PowerOff is a Kill that nobody is told of.
//
// StallDisk makes a server's disk stand still, SlowDisk slow, FailDisk makes it fail,
// FillDisk fills it. While a server does not run, FlipBits and TruncateFile damage what
// it left, Wipe takes it away, and CopyDisk can put it back later. Config.LogStore is of real
// disks: here it says nothing.
//
// What faults leave to chance is seeded: SetSeed.
//
// # Time
//
// Under testing/synctest call Cluster inside the bubble: an election, which takes
// seconds, then takes none. Without a bubble everything works in real time.
//
// Methods that wait fail the test when their context ends, with the last reason.
// They and all others are to be called on the test's goroutine. When the test ends
// all servers are killed and cleaned up; a node that is to say goodbye is closed
// by the test itself.
package nodetest
