// Package fsm is the replicated state: which servers live, and which players
// are in which channel on them. Every node holds one and applies the same log
// to it. It is not API: only package node imports it, and it may change with
// every version. What lasts is fsmpb: the log and snapshots outlive binaries.
//
// # One write
//
// Follow a batch with one Add. The caller's goroutine encodes its group
// (AppendGroup, batch.go), the outbox numbers what waits (AppendBatch), and the
// leader packs what came from all origins into an entry (AppendBatches), after
// CheckBatch (decode.go) has refused what no replica could read: an entry in
// the log is there for all of them. Nothing of that builds a message; wire.go
// knows the one encoding that is written and taken. All other commands are
// messages, and go through EncodeEntry and DecodeEntry (encode.go).
//
// Raft commits the bytes and hands them to Replica.Apply (replica.go) on every
// node. That reads them to the end outside the lock; unknown versions, fields
// and enum values are found at any depth, and the state halts there instead of
// skipping something that newer replicas do not skip. Under the lock
// State.apply (apply.go) takes the entry's batches in order (apply_batch.go). A
// batch names its origin, a life of a server, and its number there: one of the
// last Window numbers again gets its stored results, a gap or another life has
// no effect, and only the next number goes on. Each group of it
// (apply_group.go) is one caller's operations. Mostly none of them can be
// refused, whatever the channels hold, and they run on the state; else, if they
// are several, on a draft first (draft.go), so that a refusal of the last one
// finds nothing to undo. The state (state.go) keeps channel -> sid -> uid and
// the way back, sid -> uid -> channels (ways.go); it copies what is new to it,
// and nothing in it points into a log. The life that the Add means must be the
// one that is up, or an earlier one of the same process: that is what keeps a
// delayed Add from making a ghost. One byte per operation goes into the
// origin's record, for repeats, and into the Result, which on the leader
// becomes the answer to the caller. Last, those who wait for this index are
// woken (wait.go).
//
// Lives begin with ServerUp and end with ServerDown (apply_server.go). The end
// hides the members at that very index, whatever their number, and takes along
// the frontends that are attached through that life. The record stays, as the
// fence for what comes late, and so do its members, parked (parking.go): the same
// process takes them back in the entry that registers it again, another one, or
// Forget, drops them.
//
// Entries are written at the level of the state, the highest version that every
// server is known to read. What came with level 3, parking among it, has no place
// in the log before, and neither have the limits of level 4 (quota.go): they refuse
// what is new beyond them, and remove nothing.
//
// # Reading and keeping
//
// Replica.View gives the reads (read.go) of one moment; what they return is
// the caller's. Snapshots (snapshot.go, restore.go) hold the whole state in
// sorted order with a checksum: equal states are equal bytes, which is also
// what Hash compares. A snapshot is read and verified to its end before it
// replaces anything.
//
// # Rules
//
// State is pure: no clock, no I/O, no goroutine, no randomness, and nothing
// that depends on the order of a map. Whoever adds to it keeps that, and says
// in checkEntry what an older binary must not ignore. What an entry means may
// not change for the entries that are written: a new meaning is a new Version,
// and the old one stays for the old (run.version). Everything that a log
// entry may hold is a possible input here, whatever the node has checked
// before: it is refused by a result, or halts, and never panics.
//
// # What it does not do
//
// It decides nothing that needs time or the network: who is dead (the reaper),
// who leads, when a snapshot is due, what is retried. It does not know the
// pushes, the public API's errors, or Raft's configuration. It does not limit
// the size of an entry; the leader does. Not yet: Move, channel options, member meta (the
// operations answer OpUnsupported), destroying in bounded steps, the compact
// layout, and snapshots that are written while writes go on.
package fsm
