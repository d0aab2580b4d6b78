package seeded

import (
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
)

// Hunt is where a bug is looked for: the tests of one package, run again and again, each
// time with another seed.
type Hunt struct {
	Package string         // below the module's root
	Tests   string         // as -run has it
	Args    []string       // more flags of the test program; -seed is added
	Kinds   []checker.Kind // what a checker would call it
	Limit   time.Duration  // of one run; 0: runLimit
}

const runLimit = 5 * time.Minute

// root is a hunt with real processes.
func root(tests string, kinds ...checker.Kind) Hunt {
	return Hunt{Package: "jepsen_like_test", Tests: tests, Kinds: kinds}
}
