package bubble_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var (
	seedFlag = flag.Uint64("seed", 0, "what workers and faults do follows from it; 0: others each time")
	runsFlag = flag.Int("runs", runs, "how many seeds")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
