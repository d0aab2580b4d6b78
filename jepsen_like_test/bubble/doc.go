// Package bubble proves promises on whole clusters inside one process: real nodes
// over an in-memory network, in simulated time (nodetest, testing/synctest). What
// real processes take minutes for takes seconds here, and networks can be cut.
//
// One push, followed through. A worker (worker_test.go) on a server's node adds and
// removes members and pushes, noting each call and its answer in a history. Each
// process of a frontend notes what its handler is handed (server_test.go). Meanwhile
// faults_test.go kills, isolates and cuts. checker.CheckPushes then holds one against
// the other.
//
// Nothing that a process does after its kill counts: what its workers are told is
// unknown, what its handler is handed was not.
package bubble
