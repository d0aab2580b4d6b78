// Package history is what happened in a run, as the clients saw it: the only
// thing a checker looks at, and the file that stays when a run fails.
//
// A worker of a workload calls Recorder.Invoke before it sends an operation and
// Completion.Done when it knows what became of it: ok, fail (certainly no
// effect) or unknown (may have taken, or may yet take, effect). Faults and
// observations are Notes in between. Operations joins each invocation with its
// completion; one that never completed is unknown.
//
// Times are of the recorder's monotonic clock, so a change of the wall clock
// neither orders nor disorders anything.
package history
