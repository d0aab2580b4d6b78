//go:build race

package demo

import "runtime"

// Without this the race detector dies in bubbles of synctest: see node/race_test.go.
func init() { runtime.GOMAXPROCS(1) }
