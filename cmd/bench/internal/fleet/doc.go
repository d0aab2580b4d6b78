// Package fleet runs clusters of child processes on loopback: nodes, or three
// servers of bare Raft, with data directories of their own. It starts,
// kills and restarts them, and finds the leader.
package fleet
