// Package nemesis hurts a cluster on purpose and sees to it that it hurt: each fault
// returns what was observed of it, and a run in which the observation is missing does
// not count.
//
//	nemesis.go    what a nemesis is, and the Scene in which it acts
//	processes.go, networks.go, disks.go, members.go    all there are, in four tables
//	cluster.go    what they ask of a cluster; sim.Cluster is one
//	real.go       a cluster of real processes as one
//
// A nemesis of the tables hurts, waits until that is seen, lets it last, and mends. What
// tests of one fault do step by step is in leader.go, depose.go, follower.go and
// split.go.
package nemesis
