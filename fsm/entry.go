package fsm

import (
	"errors"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Version is the newest fsmpb.Entry that this package knows. Which one is written
// is up to the state's Level. Older ones are applied as they were meant: all
// replicas have to make the same of an entry, those too whose snapshot an older
// binary wrote. Since 2 the state keeps the results of Window batches of an origin
// and not of one; since 3 the members of an ended life are parked and not purged;
// since 4 the settings may limit the state, snapshots are of version 3, and there are
// checkpoints.
const Version = 4

// scaleLevel is from when on the settings may limit the state, and snapshots hold it in
// sections.
const scaleLevel = 4

// firstLevel is the level of a state that was never raised.
const firstLevel = 2

// Window is how many batches of one origin may be unanswered at a time: the
// state keeps the results of so many, for those that come again.
const Window = 8

// Errors of this package. All of them are wrapped with what was met and where.
var (
	// ErrUnknownFormat is an entry or a snapshot that a newer binary wrote: an
	// unknown version, field or enum value.
	ErrUnknownFormat = errors.New("unknown format")
	// ErrMalformed is an entry or a snapshot that no binary wrote like this:
	// truncated, damaged or garbage.
	ErrMalformed = errors.New("malformed")
	// ErrHalted is the state after an entry it could not understand. It stays
	// as it was before that entry until a snapshot replaces it.
	ErrHalted = errors.New("state halted")
)

// Result is what one entry did. It is the response of the Raft future on the
// leader, and belongs to whoever got it.
type Result struct {
	Index   uint64
	Batches []BatchResult // one per Batch of the entry, in order
	Up      UpResult      // of a ServerUp
	Changed bool          // ServerUp aside: had an effect, or, for SetSettings that came again, has had it
	Err     error         // the state has halted, at this entry or at an earlier one; nothing took effect
}

// BatchOutcome says what became of a batch. It travels between servers, so
// numbers stay; 0 is never used.
type BatchOutcome uint8

// The outcomes of a batch.
const (
	BatchApplied   BatchOutcome = iota + 1
	BatchRepeated               // it is one of the last Window that were applied: the stored results
	BatchOld                    // below those; its results are no longer kept
	BatchGap                    // the one before it is missing; no effect
	BatchFenced                 // that life is over, and the batch above its last one; no effect, final
	BatchForgotten              // no record of that life is left: no effect now, and nobody can tell about before
)

// BatchResult is the outcome of one batch.
type BatchResult struct {
	Outcome BatchOutcome
	Results []byte // applied, repeated: one OpResult per operation, groups flattened in order
	Index   uint64 // applied, repeated: where the batch took effect
}

// OpResult says what became of one operation. It is stored, so numbers stay.
type OpResult = byte

// The results of an operation. From OpServerGone on it was refused.
const (
	OpUnchanged     OpResult = 1
	OpChanged       OpResult = 2
	OpServerGone    OpResult = 3 // the life that is meant is over
	OpUnknownServer OpResult = 4 // no such sid was ever registered
	OpAborted       OpResult = 5 // another operation of its group was refused
	OpLimit         OpResult = 6 // the settings allow no more memberships, or no more channels
	OpInvalid       OpResult = 7 // a string is empty, too long, not UTF-8 or has a NUL; no kind
	OpUnsupported   OpResult = 8 // understood, but not built yet
)

// UpOutcome says what became of a registration. It travels between servers,
// so numbers stay.
type UpOutcome uint8

// The outcomes of a ServerUp.
const (
	UpNew        UpOutcome = 1 // a new life
	UpSame       UpOutcome = 2 // the incarnation is registered already
	UpSuperseded UpOutcome = 3 // the record changed, or was forgotten, after Seen; or the agent's life is over
	UpInUse      UpOutcome = 4 // another node's life is up and was not shown to be over
	UpInvalid    UpOutcome = 5 // a string breaks the limits, or the agent is attached itself
	UpLimit      UpOutcome = 6 // as many servers are up as the settings allow
)

// UpResult is the outcome of a ServerUp.
type UpResult struct {
	Outcome    UpOutcome
	Server     Server // the sid's record afterwards, refused or not; zero if there is none
	LastNumber uint64 // of the batches of the life in Server: 0 for a new one

	// Predecessor is the life of the same incarnation that ended before this one
	// began: what became of its batches and members. nil if there was none, or
	// nobody knows it any more. Not to be written to.
	Predecessor *fsmpb.Predecessor
}

// Server is the record of a sid: its current life, or its last one.
type Server struct {
	SID, SType, Zone, NodeID, Incarnation, Addr string

	Via      string // sid of the agent of an attached frontend; else empty
	ViaEpoch uint64 // the agent's life
	Epoch    uint64 // this life
	Up       bool   // false: the life is over
	Changed  uint64 // index of the last change of this record
}

// Member is one membership of a channel.
type Member struct {
	UID, SID string
	Session  uint64
	Meta     []byte
}

// Target is a server with the members it has in a channel.
type Target struct {
	Server  Server
	Members int
	Stamp   Stamp    // of the members
	UIDs    []string // in no particular order; see Read
	list    List
}

// Stats counts what the state holds.
type Stats struct {
	Channels, Memberships int // without what is parked
	Parked                int // memberships of ended lives that may come back
	Servers               int // up
}
