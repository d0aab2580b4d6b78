// Package push is the subcommand "push": how fast pushes to the members of a channel
// are, what they send and allocate, and what a stalled frontend does to the others,
// side by side with the ancestor's way over Redis.
//
// command.go has the flags, bench.go the parts in their order. world.go starts the
// pusher and its frontends and makes channels; case.go says what is measured in each
// part, and sample.go measures it. stalled.go has a load of its own. rows.go and
// measures.go make of the samples what document.go prints.
package push
