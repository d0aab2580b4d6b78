// Package meter reads what the machine and Raft tell about a process: CPU time,
// appends to the log, a clock that all processes share, and how fast disk and memory are.
package meter
