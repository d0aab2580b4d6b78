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
	Binary  bool           // they start the binary of globalchannel
	Quick   bool           // a run takes a second, and the first or second one finds it
	Limit   time.Duration  // of one run; 0: runLimit
}

const runLimit = 5 * time.Minute

// root is a hunt with real processes.
func root(tests string, kinds ...checker.Kind) Hunt {
	return Hunt{Package: "jepsen_like_test", Tests: tests, Binary: true, Kinds: kinds}
}

// sim is a hunt in simulated time: a workload under nemeses of these names.
func sim(workload, nemeses string, kinds ...checker.Kind) Hunt {
	return Hunt{
		Package: "jepsen_like_test/sim", Tests: "^TestRun$", Kinds: kinds, Limit: 2 * time.Minute,
		Args: []string{"-workload=" + workload, "-nemesis=" + nemeses, "-time=5m"},
	}
}

// far is sim over a slow network, with busy clients: much is in flight when a fault begins.
func far(workload, nemeses string, kinds ...checker.Kind) Hunt {
	h := sim(workload, nemeses, kinds...)
	h.Args = append(h.Args, "-latency=60ms", "-calm=0.3")
	return h
}

// scene is a hunt in package scene, which makes the occasion for one bug.
func scene(name string, kinds ...checker.Kind) Hunt {
	return Hunt{Package: "jepsen_like_test/seeded/scene", Tests: "^TestScene_" + name + "$", Quick: true, Kinds: kinds}
}
