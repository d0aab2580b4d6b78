// Package demo is the demo command: a whole cluster of real processes on this
// machine, players on it, two SIGKILLs, and at the end a comparison of every
// acknowledged join and leave with the state of every server.
//
// Who does what. The demo (run.go) makes a folder with a secret and one data
// directory per server (stage.go) and starts this very executable once per server
// (supervisor.go). Such a child (child.go) runs one node and the players of that
// server (players.go). They talk in JSON lines (wire.go): commands go down the
// child's stdin, reports come up its stdout. A child whose stdin ends, ends: also
// when the demo itself is killed, nothing is left running.
//
// One join, followed through. A player calls Add on its server's node. Whatever
// the outcome, the child puts it into its bounded queue of reports (outlet.go); a full
// queue holds up players, never the node. The demo reads it and keeps the truth
// (truth.go): what must be so, and who said so when. An acknowledgement also
// counts as a sign of life of the whole cluster (stillness.go), which is how the
// demo (events.go) knows how long a kill made writes stand still. At the end the load stops,
// and every server is asked over the public service for its index, its hash and
// its members (audit.go, check.go); what differs from the truth is missing or a
// ghost (finding.go).
//
// One delivery, followed through. Each server plays a match (match.go): it puts
// players of all servers into a channel, takes them out and pushes to them, and so
// knows to whom each push is owed. It reports what it was told of them, and every
// server reports what its handler was handed. At the end deliveries.go finds what was
// neither made nor reported as not made.
//
// All decisions of the demo are taken in one goroutine, that of loop.go, so the
// truth and the servers' records need no lock.
package demo
