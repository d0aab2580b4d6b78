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
package checker
