// The command bench measures globalchannel on this machine, next to what else one
// could use. It is a module of its own, so that its dependencies are nobody else's.
//
//	go run -C cmd/bench . writes [--redis HOST:PORT] [--raft] [-o json]
//	go run -C cmd/bench . fleet [--replicas 45] [--idle 10m] [--load 10m] [-o json]
//	go run -C cmd/bench . state [--redis HOST:PORT] [--only heap,apply] [-o json]
//	go run -C cmd/bench . push [--redis HOST:PORT] [--only latency,rate] [-o json]
//
// It starts itself again as server processes (internal/proc, internal/server),
// makes clusters of them (internal/fleet) and has them call themselves
// (internal/load): the callers are in the servers' processes and use package node
// as any program would. A subcommand, such as internal/writes, says what is
// measured, and makes tables and one JSON document of it. Progress goes to stderr.
//
// Pushes (internal/push) are measured side by side with what the ancestor of this
// project does (internal/ancestor), in the same processes.
//
// The state machine (internal/state) is measured in this process alone.
//
// Each writes into a temporary directory, which is removed at the end, as are the
// processes; Ctrl-C ends it early.
package main
