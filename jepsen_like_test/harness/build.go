package harness

import (
	"context"
	_ "embed" // what the race detector passes over
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
	if Race() {
		return b, b.excuseRaft()
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

// raceOfRaft names the one data race that is known and not ours, to the race detector.
//
//go:embed raft.race
var raceOfRaft []byte

func (b Binary) excuses() string { return b.Path + ".race" }

// excuseRaft lets a binary with the race detector pass over that race.
func (b Binary) excuseRaft() error {
	return os.WriteFile(b.excuses(), raceOfRaft, 0o644)
}

// raceOptions make a data race end the process, where it can't be overlooked. By
// default each process would also sleep for a second when it ends.
func (b Binary) raceOptions() string {
	options := "GORACE=halt_on_error=1 atexit_sleep_ms=0"
	if _, err := os.Stat(b.excuses()); err == nil {
		options += fmt.Sprintf(" suppressions=%q", b.excuses())
	}
	return options
}

// environment is the caller's without what would change the binary's behaviour,
// and then extra.
func (b Binary) environment(extra []string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GLOBALCHANNEL_") && !strings.HasPrefix(e, "GORACE=") {
			env = append(env, e)
		}
	}
	return append(append(env, b.raceOptions()), extra...)
}
