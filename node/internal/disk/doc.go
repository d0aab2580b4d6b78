// Package disk opens what a node keeps between restarts: the Raft log, Raft's
// term and vote, snapshots, and the node's identity.
//
//	DIR/node.json    who this directory belongs to: node id, sid, cluster id, founding promise
//	DIR/raft.db      term and vote, and the log, or the list of its segments (bbolt)
//	DIR/wal/         the log's segments, if it is of the kind WAL (raft-wal)
//	DIR/snapshots/   the newest two snapshots
//
// A directory keeps the kind of log that it was made with; node.json says which.
// A start takes the newest snapshot that can be read and needs every entry behind
// it: the log has no holes, and reaches back to the older snapshot unless the leader
// sent the newest.
//
// A write of an entry goes from Raft through parkedLog, gapless (no holes), cachedLog
// (what the leader reads back), guardedLog and checkedLog (a checksum) to the store; of
// a vote through ballot (one record) and guardedStable. Guard says what becomes of Raft
// when one of them fails or hangs, and Level when the disk is nearly full.
//
// The directory is locked by bbolt's own file lock on raft.db while it is open.
// Memory is the same without files; it survives a restart of the node that uses it,
// which is what an in-memory disk in a test stands for.
package disk
