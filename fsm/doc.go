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
// State.apply (apply.go) takes the entry's batches in order (apply_batch.go). What the next
// operations need is fetched from memory together (warm.go). A
// batch names its origin, a life of a server, and its number there: one of the
// last Window numbers again gets its stored results, a gap or another life has
// no effect, and only the next number goes on. Each group of it
// (apply_group.go) is one caller's operations. Mostly none of them can be
// refused, whatever the channels hold, and they run on the state; else, if they
// are several, on a draft first (draft.go), so that a refusal of the last one
// finds nothing to undo. The state (members.go) keeps channel -> sid -> uid and
// the way back, uid -> sid -> channels; it copies what is new to it, and nothing in
// it points into a log. The life that the Add means must be the
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
// # Memory
//
// Ten million memberships are ten million small numbers, in memory without pointers,
// which the garbage collector does not look into (package internal/compact):
//
//	shard of channels (64, by hash of the name)      shard of players (64, by hash of the uid)
//	  names    text <-> local id                       texts    text <-> local id
//	  byID     local id -> channel                     mem      blocks of words, one per player:
//	             changed, cells by sid number                     sid number, index of the newest Add,
//	               cell: set of player ids,                       ids of channels; next sid ...
//	                     sessions if any is not 0
//
// A player id, and a channel id, is the local id with the shard in the low 6 bits.
// Sids have numbers of their own (sids.go), and a set of the channels that they are in.
// A set takes 4 to 5.5 bytes per member (sessions 8 more), a way back 4 and 12 for each
// sid that the player is on, a uid its bytes and about 16 more, all shared by
// the memberships of a player. Nothing of it is large: sets of millions are pages of
// at most 4 KiB, tables grow one shard at a time, so that no entry waits for a copy.
//
// A read is of one index, and an entry of thousands of operations takes some milliseconds.
// Most questions (Reads, read.go) need not wait for it: the writer notes what it changes as it
// was before the entry (beside.go), and reads go by the notes (crew.go, joined.go). The others, and
// entries that do more than add and remove members, take turns (entrylock.go). Of a long
// list a read copies the ids, and finds the texts afterwards (list.go). A capture is read
// beside entries, too. While there is any of them, both sides lock the shards that they look at
// (place.go). What
// ends many memberships at once marks them, and they are swept bit by bit with the entries
// that follow (garbage.go).
//
// # Reading and keeping
//
// Replica.Read and View give the reads (read.go, questions.go); what they return is
// the caller's. A capture (capture.go) is the state at one index: it is read by
// pieces while writes go on, which note what they change and it has not read yet
// (undo.go). What it reads are sections in canonical order (sections.go), so equal
// states are equal bytes: a snapshot writes them (snapshot.go, package
// internal/snapfile), and Hash sums them up. Below level 4 snapshots are those of
// older binaries (legacywrite.go, legacyread.go). A snapshot is read (restore.go), in
// parallel, and verified to its end before it replaces anything.
//
// A checkpoint (checkpoint.go) is a capture at one index everywhere, so that hashes can
// be compared. A replica that turns out to be wrong takes a right one's state and goes on
// to its own index with its log (replace.go).
//
// # Rules
//
// State is pure: no clock, no I/O, no goroutine, and nothing that depends on the
// order of a map, on ids and numbers, which are a replica's own, or on how far garbage
// is swept. Whoever adds to it keeps that, and says
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
// the size of an entry; the leader does. Not yet: Move, channel options, member meta:
// the operations answer OpUnsupported.
package fsm
