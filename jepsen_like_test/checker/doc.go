// Package checker judges histories. It imports nothing of the product: its model
// of channels is written from the promises alone, or both would share a bug.
//
// Check takes one history through these questions:
//
//   - order.go: are the indexes of acknowledged writes in the order of real time?
//   - fence.go: was no Add for a life acknowledged outside of that life?
//   - setfull.go: does every read show each member that it must, none that it must
//     not, nobody twice, and is it as fresh as was asked for?
//   - replica.go: do replicas that are at the same index hold the same state?
//
// How a read is judged: its answer is the state at one index of the log, which
// lies between what the caller could demand (min_index, and what this server
// process had acknowledged before) and the index that came with the answer. For
// each element, a (channel, uid, sid) that only one worker writes, element.go
// works out what it can be at an index in that window: the last acknowledged write
// below decides, those inside it may or may not count, and those of unknown
// outcome may take effect at any time after they were sent. lives.go says which
// life of the sid an Add was for and at which index that life ended, which takes
// the member away.
//
// CheckLinear takes the history of workers that share members, where one answer
// tells nothing by itself, through these:
//
//   - linear.go: is there an order of all writes and linearizable reads that keeps
//     to real time and explains every answer? porcupine searches it on a model of
//     one channel (channelmodel.go), which is a set and what each write does to it.
//     A write of unknown outcome stays open to the end, which covers that it never
//     took effect; one that was refused or never sent is left out, and if it had an
//     effect all the same, no order explains that (linearcalls.go).
//   - once.go: of a member that one worker alone adds and removes by turns, did each
//     acknowledged turn change something?
//   - replica.go, as above.
//
// CheckPushes takes the history of pushes, with what each handler was handed:
//
//   - push.go: was each message handed over as it was pushed, in call order, once, and
//     is the report true?
//   - pushmembers.go: who had to be reached or named, and who had not to be reached?
//
// A write on several channels becomes one operation in each, over the same time:
// that it took effect in all of them at one moment is not asked, only in each.
package checker
