// Package harness runs the real binary as real processes, and ends them in
// every way a process can end.
//
// Build compiles it once. A Cluster gives each Server its own port, which it keeps
// over restarts, and its own data directory; Start starts them and waits until the
// public service of each says that it is ready. Kill is SIGKILL, Pause and Resume
// are SIGSTOP and SIGCONT, Start after Kill is the same command line again. Every
// start and every life seen goes into the history, if there is one: the checker
// needs them. Close leaves no process behind, and tells if one of them crashed,
// ended by itself or reported a data race.
//
// Join adds a server to a cluster that runs, Decommission takes it away again with all
// that it had.
//
// With a network (switchnet) each server is on a machine of its own, whose links can
// be cut and spoiled and whose address can change.
//
// Nothing here sleeps: waiting is on output, on the end of a process, or (Await)
// on what the public service answers, and ends with a context and the last reason.
package harness
