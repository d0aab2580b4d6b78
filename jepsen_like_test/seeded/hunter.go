package seeded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Hunter runs tests against a product with bugs. All it builds is below one directory.
type Hunter struct {
	dir, root, overlay string
	built              map[string]string // test programs, by package
	binary             string            // "": not built yet
}

// NewHunter writes the overlay. The caller removes dir.
func NewHunter(dir string) (*Hunter, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	overlay, err := Overlay(dir)
	if err != nil {
		return nil, err
	}
	return &Hunter{dir: dir, root: root, overlay: overlay, built: make(map[string]string)}, nil
}

// Catch is what came of a hunt.
type Catch struct {
	Found *checker.Violation // nil: it was not found
	Seed  uint64             // of the run that found it
	Runs  int
	Bit   int           // runs in which the bug made a difference
	Took  time.Duration // all of them, without the build
	// Other runs failed, but with no violation of the right kind. Their ends, for people.
	Other []string
}

func (c Catch) String() string {
	text := fmt.Sprintf("not found in %d runs", c.Runs)
	if c.Found != nil {
		text = fmt.Sprintf("found in run %d (seed %d): %v", c.Runs, c.Seed, c.Found)
	}
	return fmt.Sprintf("%s; it bit in %d, %d failed otherwise; %v", text, c.Bit, len(c.Other), c.Took.Round(100*time.Millisecond))
}

// Run looks for a bug until it is found, so many runs were made, or ctx ends. Without a
// name the bug is none, which shows whether a hunt finds what is not there; its
// conditions hold all the same.
func (h *Hunter) Run(ctx context.Context, b Bug, hunt Hunt, runs int) (c Catch, err error) {
	program, err := h.build(ctx, hunt)
	if err != nil {
		return c, err
	}
	began := time.Now()
	for c.Found == nil && c.Runs < runs && ctx.Err() == nil {
		c.Runs++
		c.Seed = 1 + rand.Uint64N(1<<32)
		output, bit, failed, err := h.once(ctx, program, b, hunt, c.Seed)
		if err != nil {
			return c, err
		}
		if bit {
			c.Bit++
		}
		if !failed {
			continue
		}
		if c.Found = violation(output, hunt.Kinds); c.Found == nil {
			c.Other = append(c.Other, end(output))
		}
	}
	c.Took = time.Since(began)
	return c, nil
}

// build compiles the tests of a hunt, and the binary that they start.
func (h *Hunter) build(ctx context.Context, hunt Hunt) (program string, err error) {
	if hunt.Binary && h.binary == "" {
		path := filepath.Join(h.dir, "globalchannel")
		if err := h.compile(ctx, "build", "-o", path, "./cmd/globalchannel"); err != nil {
			return "", err
		}
		h.binary = path
	}
	pkg := hunt.Package
	if h.built[pkg] == "" {
		path := filepath.Join(h.dir, strings.ReplaceAll(pkg, "/", "_")+".test")
		if err := h.compile(ctx, "test", "-c", "-o", path, "./"+pkg); err != nil {
			return "", err
		}
		h.built[pkg] = path
	}
	return h.built[pkg], nil
}

func (h *Hunter) compile(ctx context.Context, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{verb, "-overlay", h.overlay}, args...)...)
	cmd.Dir = h.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s with the seeded bugs: %w\n%s", verb, err, out)
	}
	return nil
}

// once runs the tests once. What they keep of a failed run goes with it.
func (h *Hunter) once(ctx context.Context, program string, b Bug, hunt Hunt, seed uint64) (output string, bit, failed bool, err error) {
	scratch, err := os.MkdirTemp(h.dir, "run-")
	if err != nil {
		return "", false, false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	limit := hunt.Limit
	if limit == 0 {
		limit = runLimit
	}
	args := append([]string{
		"-test.run=" + hunt.Tests, "-test.v", "-test.timeout=" + limit.String(), "-seed=" + strconv.FormatUint(seed, 10),
	}, hunt.Args...)
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Second) // its own end says more
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(h.root, hunt.Package)
	cmd.Env = append(os.Environ(), "TMPDIR="+scratch, harness.PrebuiltVariable+"="+h.binary,
		bugVariable+"="+strings.Join(append([]string{b.Name}, b.Needs...), ","), markVariable+"="+scratch)
	cmd.SysProcAttr, cmd.WaitDelay = harness.DiesWithParent(), 5*time.Second // as do the servers that it starts
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", false, false, fmt.Errorf("run %s: %w", hunt.Package, err)
	}
	_, unmarked := os.Stat(filepath.Join(scratch, "bit"))
	return string(out), unmarked == nil, err != nil, nil
}

// end is the last of an output.
func end(output string) string {
	const most = 4000
	return output[max(0, len(output)-most):]
}
