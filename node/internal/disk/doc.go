// Package disk opens what a node keeps between restarts: the Raft log, Raft's
// term and vote, snapshots, and the node's identity.
//
//	DIR/node.json    who this directory belongs to: node id, sid, cluster id, founding promise
//	DIR/raft.db      log, term and vote (bbolt)
//	DIR/snapshots/   the newest two snapshots
//
// A directory is locked by bbolt's own file lock while it is open. Memory is the
// same without files; it survives a restart of the node that uses it, which is
// what an in-memory disk in a test stands for.
package disk
