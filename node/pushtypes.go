package node

import (
	"context"
	"iter"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// Push is a message to an audience: the players whom To chooses, on servers of type
// SType. PushMessage is Push with Channel(name).
type Push struct {
	SType, Route string
	Msg          []byte // at most 1 MiB by default (Settings.Limits); must not be changed until the call returns
	To           Audience
	PushOptions
}

// PushOptions are the choices of one push.
type PushOptions struct {
	Timeout      time.Duration // default: the context's deadline, else Config.Timeout
	NoWait       bool          // return when every frontend's push is in its queue: those on their way are Unknown, "not waited for". ctx's end does not end them, its deadline does
	Priority     Priority      // within a channel; the others do not wait for each other anyway
	OnFull       FullPolicy    // what gives way in a full queue
	Key          string        // of FullKeepLatest, and only with that; at most 255 bytes
	ID           string        // at most 255 bytes, of one push in the whole cluster: a frontend's life hands the last 1,024 ids of the last minute over once, and answers a repetition as it did the first, unless that reached nobody
	PruneOffline bool          // players whom a frontend reports offline leave all channels there, unless they were added since; not waited for
	CountsOnly   bool          // for huge channels: the pusher does not read who the members are, and Undelivered yields only Failed
}

// Priority says which pushes wait for which. The order of calls holds within one.
type Priority uint8

const (
	// PriorityChat is for most pushes.
	PriorityChat Priority = iota
	// PrioritySystem overtakes pushes of PriorityChat that wait, on the way and in the
	// queue of its channel at the frontend. A handler that runs is not interrupted.
	PrioritySystem
)

// FullPolicy says what gives way in a full queue: the pusher's to one server (8,192 pushes,
// 64 MiB), which fills while that does not read, and a channel's at the frontend (256
// pushes), which fills while its handler is slow. What gave way is NotDelivered, and the
// report of its own push says why.
type FullPolicy uint8

const (
	// FullWait waits for room at the pusher, as long as the push has time. At the frontend
	// the new push is NotDelivered.
	FullWait FullPolicy = iota
	// FullDropNewest gives the new push up.
	FullDropNewest
	// FullDropOldest gives those up that wait longest, of the same Priority.
	FullDropOldest
	// FullKeepLatest gives an older push of this server with the same Key up, whether the
	// queue is full or not: a position, a score. If there is none, the new one.
	FullKeepLatest
)

// PushResult is the honest report of a push.
type PushResult struct {
	Index   uint64         // of the pusher's replica when it chose the receivers
	Members int            // (uid, sid) pairs that were meant; 0: nobody to push to
	Failed  []string       // uids that a frontend reported offline, sorted, each once
	Servers []ServerReport // one per sid of that type that has members, sorted by SID

	missed [][]string // the uids of each server that is not Delivered, beside Servers
}

// ServerReport is what happened at one frontend.
type ServerReport struct {
	SID     string
	Outcome Outcome
	Reason  string   // why not Delivered; empty if it was
	Members int      // members the pusher knew there
	Failed  []string // those that the frontend reported offline
	Latency time.Duration
}

// Outcome of a push at one frontend.
type Outcome uint8

const (
	// Delivered: the handler returned nil.
	Delivered Outcome = iota + 1
	// NotDelivered: no handler, handler error or panic, unreachable, another life, queue full.
	NotDelivered
	// Unknown: timeout or broken stream; the handler may or may not have run.
	Unknown
)

func (o Outcome) String() string {
	switch o {
	case Delivered:
		return "delivered"
	case NotDelivered:
		return "not delivered"
	case Unknown:
		return "unknown"
	}
	return "unspecified"
}

// OK reports whether nobody was missed: every server Delivered and nobody Failed.
func (r PushResult) OK() bool {
	if len(r.Failed) > 0 {
		return false
	}
	for _, s := range r.Servers {
		if s.Outcome != Delivered {
			return false
		}
	}
	return true
}

// Undelivered yields who did not get the message or might not have: Failed, and
// the members of every server that is not Delivered. A uid with several sids may
// come several times.
func (r PushResult) Undelivered() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, uid := range r.Failed {
			if !yield(uid) {
				return
			}
		}
		for _, uids := range r.missed {
			for _, uid := range uids {
				if !yield(uid) {
					return
				}
			}
		}
	}
}

// PushHandler hands a push to the sessions of this server. It may be called
// before Start has returned, and concurrently, except that pushes of one channel
// come one at a time and in order. ctx ends with the pusher's deadline or with
// this node. A slow or panicking handler harms only its own channel's pushes and
// is reported.
//
// offline names the uids that have no session here; a slow session is not offline.
// An error means that nobody here got the message.
type PushHandler func(ctx context.Context, d *Delivery) (offline []string, err error)

// Delivery is one push as a frontend's handler sees it.
type Delivery struct {
	Route     string
	Channel   string // the one that was pushed to; empty if the audience is not of one channel
	From      string // sid of the pusher
	Msg       []byte // shared: may be kept, must not be written to
	Everybody bool   // meant for all sessions, in a channel or not, that Includes includes; UIDs is empty then
	Node      *Node

	uids []string
	set  map[string]struct{} // of uids; made at the first Includes
	to   players             // of Everybody
}

// UIDs yields the receivers on this server, each once. Valid until the handler returns.
func (d *Delivery) UIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, uid := range d.uids {
			if !yield(uid) {
				return
			}
		}
	}
}

// Includes reports whether uid is a receiver. Not for concurrent use.
func (d *Delivery) Includes(uid string) (is bool) {
	if d.Everybody { // an attached frontend's agent asks too, of who is offline
		d.Node.replica.Read(func(s fsm.Reads) { is = chosen(s, d.to, uid) })
		return is
	}
	if d.set == nil {
		d.set = make(map[string]struct{}, len(d.uids))
		for _, u := range d.uids {
			d.set[u] = struct{}{}
		}
	}
	_, ok := d.set[uid]
	return ok
}

// Len is the number of receivers on this server.
func (d *Delivery) Len() int { return len(d.uids) }
