// Package delivery carries pushes from one process to the frontends of another: in
// order, each at most once, over however many connections.
//
// # One push
//
// Links.Send gives the push to the Link of the address (link.go). The goroutine of the
// link, which lives while there is something to send, takes what waits, numbers it and
// writes it as one message (frame.go) on the link's stream, so that small pushes of many
// callers share it. What all frontends get is encoded once, in a Body. At the other end
// Receiver.Serve (receiver.go) reads the stream and notes each number in the ledger of the
// link (ledger.go) before it hands the push over. The answers go back on the same
// stream, those that are ready together in one message.
//
// A frontend whose replica does not have what the push refers to asks for the uids
// (Incoming.Behind); they follow under the same number.
//
// # One broken stream
//
// The link opens another one (stream.go), says which numbers have no answer yet, and is
// told the highest number that had arrived. What is above that was never seen, and is sent
// again; of what is below, the receiver repeats the answers that were not
// acknowledged. A receiver that does not know the link was started anew, or has
// forgotten it: what was sent before is then Unknown, and is never sent again.
//
// A process from before this package does not know the call: it gets each push on its
// own (alone.go).
//
// # What it does not do
//
// No deadline is kept here on the pusher's side: its caller abandons what takes too long.
// At the receiver the context of a push ends with its deadline.
package delivery
