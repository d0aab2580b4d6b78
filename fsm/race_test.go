//go:build race

package fsm

import (
	"flag"
	"runtime"
)

// RaceDetector makes the long tests repeat themselves less: most have one goroutine
// only, and everything takes eight times as long. Without it all is repeated in full.
const RaceDetector = true

func init() {
	// Without this the race detector dies in bubbles of synctest: see node/race_test.go.
	runtime.GOMAXPROCS(1)
	if err := flag.Set("rapid.checks", "20"); err != nil { // of 100; the command line goes before it
		panic(err)
	}
}
