package node_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets a few tests of real servers run at once, which mostly wait for real time
// to pass, also where there is one processor. All others have the process to themselves.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "3"); err != nil { // the command line goes before it
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
