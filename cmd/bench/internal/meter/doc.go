// Package meter reads what the machine and Raft tell about a process: CPU time,
// appends to the log, a clock that all processes share, and what the disk does.
package meter
