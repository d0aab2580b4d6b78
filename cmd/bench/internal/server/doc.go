// Package server is what the bench's child processes do: each is one node of
// globalchannel, one server of bare Raft, or a client of Redis, with the callers
// in the same process. api.go lists the requests; serve.go answers them.
//
// For pushes a process is a frontend or the pusher: a node, and beside it what the
// ancestor has in its place (package ancestor). pushapi.go lists their requests; both
// count what they pushed and delivered (tally.go), so that it can be checked.
package server
