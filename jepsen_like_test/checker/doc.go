// Package checker judges histories. It imports nothing of the product: its model
// of channels is written from the promises alone, or both would share a bug.
//
// Check takes one history through these questions:
//
//   - order.go: are the indexes of acknowledged writes in the order of real time?
//   - fence.go: was no write for, or by, a life acknowledged outside of that life?
//   - setfull.go: does every read show each member that it must, none that it must
//     not, nobody twice, and is it as fresh as it promises?
//   - replica.go: do replicas that are at the same index hold the same state?
//
// How a read is judged: its answer is the state at one index of the log, which
// lies between what the caller could demand and the index that came with the answer.
// What can be demanded is for the kind of read to say (atLeast): nothing, an index,
// what was acknowledged anywhere, or that a while ago, or what this server process
// had acknowledged or shown before. For each element, a (channel, uid, sid) that only
// one worker writes, element.go works out what it can be at an index: the last
// acknowledged write below decides, and those of unknown outcome may take effect at
// any time after they were sent. prefix.go finds the indexes at which all elements
// together are what the answer shows.
//
// lives.go says which life of the sid an Add was for. When it ends, at an index that
// nobody is told, the member is gone; it is back when the same process has the next
// life, unless somebody removed it meanwhile. What is known of an end follows from
// notes of who listed the servers, and from writes that only a life can have done. A
// life without any note of its end, and without a next one, has none.
//
// CheckLinear takes the history of workers that share members, where one answer
// tells nothing by itself, through these:
//
//   - linear.go: is there an order of all writes, linearizable reads, and ends and
//     beginnings of lives that keeps to real time and explains every answer? porcupine
//     searches it on a model of one channel (channelmodel.go): a set, what each write
//     does to it, and where each sid is among its lives. A life ends or begins at one
//     moment inside what was observed (turns.go). A write of unknown outcome stays
//     open until it can have no effect any more, or to the end, which covers that it
//     never took effect; one that was refused or never sent is left out, and if it had
//     an effect all the same, no order explains that (linearcalls.go). Writes keep to
//     the order of their indexes, where they were told one.
//   - once.go: of a member that one worker alone adds and removes by turns, did each
//     acknowledged turn change something?
//   - replica.go, as above.
//
// Calls of one process, one after another, take effect in that order, those included
// of which nobody has heard. That is asked only of callers inside the process
// (history.Event.Embedded): two calls of a client that gave the first one up may
// arrive the other way round, and what the process then does is right.
//
// CheckPushes takes the history of pushes, with what each handler was handed:
//
//   - push.go: was each message handed over as it was pushed, in call order, once, and
//     is the report true?
//   - pushmembers.go: who had to be reached or named, and who had not to be reached?
//
// CheckSessions (sessions.go) takes the history of players who connect and go. While all are
// well, between two faults: is who is connected shown where she has joined, and nobody whose
// connection was closed, or is forgotten by its host, for as long as that may take?
//
// A write on several channels becomes one operation in each, over the same time:
// that it took effect in all of them at one moment is not asked, only in each.
package checker
