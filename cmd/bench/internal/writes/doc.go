// Package writes is the subcommand "writes": how fast writes are, side by side
// with Redis and bare Raft, and for how long they stand still when a leader goes.
//
// command.go has the flags. plan.go says which systems are measured in which
// cases; block.go starts one system and goes through its cases, once a run.
// failover.go and lag.go need a cluster of their own. rows.go and measures.go make
// of the samples what table.go prints.
package writes
