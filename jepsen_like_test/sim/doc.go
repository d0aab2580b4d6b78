// Package sim is whole clusters inside one process, in simulated time: real nodes over
// an in-memory network and memory disks (node/nodetest, testing/synctest). Hours of a
// cluster's life take minutes here, and everything can be hurt without root.
//
// A Cluster is what nemesis.Cluster, Network and Disks ask for, and each of its servers
// what a workload talks to: clients are on a machine of their own and use the public
// service over gRPC, as they do with real processes (harness). So a run is the same in
// both worlds; see package trial.
package sim
