package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Type says which part of an operation an event is.
type Type string

// The types of events.
const (
	Invoke  Type = "invoke"
	OK      Type = "ok"      // took effect
	Fail    Type = "fail"    // rejected or never sent: no effect, now or later
	Unknown Type = "unknown" // may have taken, or may yet take, effect
	Note    Type = "note"    // a fact or a fault, no operation
)

// F says what was done, or what a note is about.
type F string

// Operations and notes.
const (
	Add      F = "add"
	Leave    F = "leave"
	LeaveAll F = "leave_all" // of (UID, SID) in every channel
	Destroy  F = "destroy"   // of Channel
	Apply    F = "apply"     // of Group, all or none
	Read     F = "read"
	Push     F = "push" // of Msg to Channel

	Started  F = "started"  // Note: the process of server Via was started
	Handed   F = "handed"   // Note: a handler at Via was handed Msg, see UIDs
	Life     F = "life"     // Note: SID was seen registered as Epoch, at Index; who it is: Start or Incarnation
	Ended    F = "ended"    // Note: the life Epoch of SID was seen to be over, at Index at the latest; 0: not known
	Resumed  F = "resumed"  // Note: the process of SID was told that Epoch is over and Next its life now, see Missed
	Listed   F = "listed"   // Note: Via showed Lives, as they were at Index or later
	Replica  F = "replica"  // Note: Via had State at Index
	Opened   F = "opened"   // Note: Session of UID at SID begins
	Closed   F = "closed"   // Note: it is closed
	Vanished F = "vanished" // Note: it ended, and is not closed
	Fault    F = "fault"    // Note: something was done to Via, see Text
	Hurt     F = "hurt"     // Note: the nemesis Text begins
	Mended   F = "mended"   // Note: it ended, see Text
	Whole    F = "whole"    // Note: everybody is well again, until the next Hurt
)

// Member is one (uid, sid) of a listing; SID is empty where the listing has none.
type Member struct {
	UID string `json:"uid"`
	SID string `json:"sid,omitempty"`
}

// Write is one operation of a group.
type Write struct {
	F       F      `json:"f"` // Add, Leave, LeaveAll or Destroy
	Channel string `json:"channel,omitempty"`
	UID     string `json:"uid,omitempty"`
	SID     string `json:"sid,omitempty"`
	Epoch   uint64 `json:"epoch,omitempty"` // as in Event
}

// Answer is what a push reported of one server.
type Answer struct {
	SID     string   `json:"sid"`
	Outcome Outcome  `json:"outcome"`
	Offline []string `json:"offline,omitempty"` // uids that the server called so
	Text    string   `json:"text,omitempty"`    // the reason, for people
}

// Outcome of a push at one server.
type Outcome string

// The outcomes.
const (
	Delivered    Outcome = "delivered"
	NotDelivered Outcome = "not delivered"
	Uncertain    Outcome = "unknown"
)

// Event is one line of a history. Which fields are set follows from F and Type.
type Event struct {
	At     time.Duration `json:"at_ns"` // since the beginning of the run, monotonic
	Type   Type          `json:"type"`
	F      F             `json:"f"`
	Op     int           `json:"op,omitempty"`     // joins an invocation with its completion; from 1
	Worker int           `json:"worker,omitempty"` // from 1
	Via    string        `json:"via,omitempty"`    // the server that was asked

	Channel  string `json:"channel,omitempty"`
	UID      string `json:"uid,omitempty"`
	SID      string `json:"sid,omitempty"`       // of the member; of a read: only members there
	SType    string `json:"stype,omitempty"`     // of a read: only members there, each uid once
	Epoch    uint64 `json:"epoch,omitempty"`     // the life of SID that was meant; 0: the one the server knew
	MinIndex uint64 `json:"min_index,omitempty"` // of a read: at least this fresh

	Group []Write `json:"group,omitempty"`

	// Of a read, which may be one of them. Neither these nor MinIndex: everything that
	// this process has acknowledged or shown before.
	Linearizable bool          `json:"linearizable,omitempty"` // everything acknowledged anywhere before it
	Stale        bool          `json:"stale,omitempty"`        // any prefix of the log
	MaxStale     time.Duration `json:"max_stale_ns,omitempty"` // everything acknowledged anywhere so long before it

	Index   uint64   `json:"index,omitempty"`   // of a completion: where it took effect, or how fresh the answer was at most
	Changed []bool   `json:"changed,omitempty"` // of a completion: which of the operations had an effect; none: it was not told
	Members []Member `json:"members,omitempty"` // of a read
	State   string   `json:"state,omitempty"`   // hash of a replica

	// Of writes. A client that gives a call up does not know whether, when, and in which
	// process it arrives; a caller inside the process does.
	Embedded bool `json:"embedded,omitempty"` // called inside process Start of Via: it began there before the next one was called

	Session uint64 `json:"session,omitempty"` // of UID at process Start of SID: the newer, the higher

	// Of lives.
	Incarnation string `json:"incarnation,omitempty"` // of the process that has the life
	Next        uint64 `json:"next,omitempty"`        // the epoch after Epoch
	Missed      int    `json:"missed,omitempty"`      // members that did not come back with it; below 0: nobody knows, and none came back

	// Of pushes, and of the writes and lives beside them.
	Start   int               `json:"start,omitempty"`   // which process of Via, or of SID, from 1; its memory ends with it
	From    string            `json:"from,omitempty"`    // of what was handed over: the pusher that was named
	Msg     string            `json:"msg,omitempty"`     // the name of a message, of no other one
	Sum     string            `json:"sum,omitempty"`     // hash of its bytes
	Urgent  bool              `json:"urgent,omitempty"`  // it may overtake those that are not
	UIDs    []string          `json:"uids,omitempty"`    // handed over; of a completed push: undelivered
	Offline []string          `json:"offline,omitempty"` // of UIDs, those that the handler called so
	Answers []Answer          `json:"answers,omitempty"` // of a completed push
	Lives   map[string]uint64 `json:"lives,omitempty"`   // the epochs that Via knew: before an Add, after a push, when listed

	Text string `json:"text,omitempty"` // the error, or the fault, for people
}

// RegisteredAt is the index at which the life of that epoch began: its lower 48 bits.
func RegisteredAt(epoch uint64) uint64 { return epoch & (1<<48 - 1) }

// WriteTo writes one JSON object per line.
func WriteTo(w io.Writer, events []Event) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// ReadFrom reads what WriteTo wrote.
func ReadFrom(r io.Reader) ([]Event, error) {
	var events []Event
	dec := json.NewDecoder(r)
	for {
		var e Event
		err := dec.Decode(&e)
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read history, event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
