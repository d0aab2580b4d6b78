//go:build race

package bubble_test

import "runtime"

// runs are few: each takes six times as long.
const runs = 2

// See node/race_test.go: timers of a bubble on two processors crash the race detector.
func init() { runtime.GOMAXPROCS(1) }
