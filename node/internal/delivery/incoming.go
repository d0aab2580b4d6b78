package delivery

import "context"

// Incoming is one push at its frontend, until it is answered.
type Incoming struct {
	From string // sid of the pusher

	number   uint64
	ledger   *ledger
	patience patience

	// Guarded by ledger.mu.
	behind bool          // uids are waited for
	uids   []string      // those that came
	bytes  int           // of them
	given  chan []string // one slot: all of them
}

// Context ends with the push's deadline, when nobody waits for it any more, and with
// the Receiver.
func (in *Incoming) Context() context.Context { return &in.patience }

// Answer tells the pusher what became of the push. It is called once, and does not block.
func (in *Incoming) Answer(a Answer) {
	in.ledger.answer(in, a)
	in.patience.end(context.Canceled) // its timer would keep all of this until the deadline
}

// UIDs come in the channel. Unless they are given anyway, the pusher is asked for them:
// the replica here does not have the index.
func (in *Incoming) UIDs() <-chan []string {
	return in.ledger.ask(in)
}
