package scene

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// A hunt gives each run a seed. In a scene the same is done each time.
var _ = flag.Uint64("seed", 0, "without effect")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
