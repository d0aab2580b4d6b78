package jepsen_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

var seedFlag = flag.Uint64("seed", 0, "what the workers do follows from it; 0: another one each time")

// binaryVariable hands the compiled binary from TestMain to the tests.
const binaryVariable = "JEPSEN_LIKE_BINARY"

// sideBySide is how many tests may run at once: all that say so, since they mostly
// wait. Those that load the machine run one by one before them: what the others wait
// for has its time limits.
const sideBySide = "8"

// TestMain compiles the binary once.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", sideBySide); err != nil { // the command line goes before it
		panic(err)
	}
	flag.Parse()
	dir, err := buildBinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}))
}

func buildBinary() (dir string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // a first build with the race detector, on a busy machine
	defer cancel()
	if dir, err = os.MkdirTemp("", "jepsen-like-binary-"); err != nil {
		return "", err
	}
	b, err := harness.Build(ctx, dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	return dir, os.Setenv(binaryVariable, b.Path)
}

func binary() harness.Binary { return harness.Binary{Path: os.Getenv(binaryVariable)} }
