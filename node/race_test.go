//go:build race

package node_test

import "runtime"

const raceDetector = true

// The timers of a synctest bubble share one context of the race detector, whichever
// thread runs them: two at once corrupt it, and the process dies of a segmentation
// fault, seen in 1 of 4 runs of this package (golang/go#78156, Go 1.26.8). With one
// processor there is only one thread at a time. Data races are found all the same:
// what the detector compares is what happens before what, not what happens at once.
func init() { runtime.GOMAXPROCS(1) }
