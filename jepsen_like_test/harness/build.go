package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

const binaryPackage = "github.com/pofresh/globalchannel/cmd/globalchannel"

// Binary is a compiled globalchannel.
type Binary struct{ Path string }

// PrebuiltVariable names a binary that Build takes instead of compiling one: package
// seeded runs the same tests again and again against a product with bugs.
const PrebuiltVariable = "JEPSEN_LIKE_PREBUILT"

// Build compiles the binary into dir, with the race detector if the calling
// program has it.
func Build(ctx context.Context, dir string) (Binary, error) {
	if path := os.Getenv(PrebuiltVariable); path != "" {
		return Binary{path}, nil
	}
	b := Binary{filepath.Join(dir, "globalchannel")}
	args := []string{"build", "-o", b.Path}
	if Race() {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, binaryPackage)...).CombinedOutput()
	if err != nil {
		return Binary{}, fmt.Errorf("build %s: %w\n%s", binaryPackage, err, out)
	}
	return b, nil
}

// Race tells whether this program was built with the race detector.
func Race() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// raceOptions make a data race end the process, where it can't be overlooked. By
// default each process would also sleep for a second when it ends.
const raceOptions = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// environment is the caller's without what would change the binary's behaviour,
// and then extra.
func environment(extra []string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GLOBALCHANNEL_") && !strings.HasPrefix(e, "GORACE=") {
			env = append(env, e)
		}
	}
	return append(append(env, raceOptions), extra...)
}
