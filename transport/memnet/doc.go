// Package memnet is a network of simulated machines inside one process, for running whole nodes under
// testing/synctest: hours of cluster life pass in seconds, and a machine crashes or a cable is cut by a call.
// It is for tests; it is not part of the public API.
//
// # One byte's way
//
// A [Host] is a machine with one IP address. It satisfies the Network interface of package transport, so a node is
// handed one and never knows. DialContext waits until neither direction to the other host is cut, finds the
// [net.Listener] on that port and puts one end of a new pair of connections into its backlog. A Write on one end
// charges the direction's window of 256 KiB (or waits for room), and the bytes go to the reading end at once; if
// there is latency they first spend it in flight, if the direction is cut they stay in flight until it heals, as TCP
// would retransmit them. A Read takes them out and gives the window its room back, which is an acknowledgement and
// so travels the other direction: while *that* is cut, the writer's window stays shut. The end of a stream (a FIN)
// and its violent end (a reset) take the same way behind the bytes, so both are noticed late, or not before the
// cut heals. That is the half-open connection, which most tests of this project are about.
//
// What TCP does, this does, unpleasant parts included: a Write to a peer that has closed succeeds once and its bytes are lost;
// closing with unread bytes resets the peer; what had arrived before a reset can still be read.
//
// A packet is put into the queue of the socket it is addressed to, or vanishes: no such socket, a full queue, a cut
// (also one that begins while the packet is in flight). Nobody is told. [Weather] delays, loses, doubles and reorders
// packets, and holds streams up.
//
// # Crashes, and who is dead
//
// [Host.Crash] ends all sockets of a machine as SIGKILL would. The goroutines of the "killed" node live on in the
// test's process, though, and would open new connections and say an orderly goodbye. So a socket belongs to a
// [Process] of its host, and a process that crashed can never use the network again; give each start of a node
// its own, with [Host.Process].
//
// # Rules for testing/synctest
//
// Every wait is on a channel, a timer or a sync.Cond made in the bubble that uses the network, so time
// goes on while nodes wait for each other. Make the Net inside the bubble. There is no goroutine behind a
// connection: writers move their own bytes, and only latency and deadlines use timers, which Close stops.
// The bubble's clock stands still once the test function has returned: with latency, let some time pass after the
// last Close, or the other ends never learn of it and their readers are reported as a deadlock.
//
// # Locks
//
// Net.mu guards who exists and what is cut, for all hosts. The two ends of a connection share a lock of their own, as does
// a packet socket. Net.mu is taken first, that of the weather last, and none is held while waiting.
package memnet
