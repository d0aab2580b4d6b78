// Package server is what the bench's child processes do: each is one node of
// globalchannel, one server of bare Raft, or a client of Redis, with the callers
// in the same process. api.go lists the requests; serve.go answers them.
package server
