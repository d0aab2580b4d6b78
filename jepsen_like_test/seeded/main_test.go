package seeded

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var (
	seededFlag = flag.Bool("seeded", false, "look for every bug, which takes an hour or more")
	bugFlag    = flag.String("bug", "", "with -seeded: look for this bug only")
	timesFlag  = flag.Int("times", 1, "with -seeded: find every bug so often, for a median")
	runsFlag   = flag.Int("runs", 20, "with -seeded: so many runs for a bug at most")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
