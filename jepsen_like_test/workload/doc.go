// Package workload is what clients do in a run: they use the public service over
// connections of their own, as any game server without an embedded node would,
// and write down what they asked and what they were told.
//
// One operation of SetFull: a worker (worker.go) picks one by its random numbers,
// records the invocation, calls its server, and records the answer as outcome.go
// classifies it. It waits for its connection to stand before the next one, so that
// a dead server costs one unknown operation and not thousands.
//
// Linear (linear.go, linearworker.go, alternator.go) works the same way on members
// that all workers share, with every kind of write there is. With Delay these may be
// on servers whose lives end: writes name the life that is meant (latewriter.go), and
// somebody lists all servers again and again (lives.go), or the history would not tell
// which lives there were.
//
// Pushes (pushes.go) are callers who write and push (pushcaller.go), inside of a server's
// process or at the end of a connection that reaches no other process (remote.go), and
// frontends that note what they are handed (pushhandler.go): servers themselves, or processes
// that are attached to one server after another (frontend.go).
//
// Sessions (sessions.go) are players inside of servers, who connect, join, and go.
package workload
