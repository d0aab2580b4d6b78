// Package state is the subcommand "state": what the state machine (package fsm)
// takes of memory and time, beside the same sets in Redis.
//
// command.go has the flags, bench.go the parts in their order. A part draws the
// memberships of a shape (shape.go, names.go), writes them as the log of a busy
// leader and applies that to a replica (feed.go, world.go), measures, and lets go of
// all of it. Each part has a file of its own; redis.go is the other side.
// document.go makes of the samples what is printed.
package state
