package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/seeded"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

const (
	binary = "github.com/pofresh/globalchannel/cmd/globalchannel"
	// simulation is the package whose test binary runs clusters in simulated time: only
	// tests have bubbles.
	simulation = "github.com/pofresh/globalchannel/jepsen_like_test/sim"
)

// tools are what was built to run. Each has a build for servers that take snapshots
// often, which the product has no setting for: an overlay (package seeded) has.
type tools struct {
	dir          string
	usual, often tool
}

// tool is the test binary of simulation, or the binary of globalchannel.
type tool struct {
	path string
	env  []string
}

// build builds what runs of that kind need.
func build(ctx context.Context, simulated bool) (*tools, error) {
	dir, err := os.MkdirTemp("", "jepsen-tools-")
	if err != nil {
		return nil, err
	}
	t := &tools{dir: dir, usual: tool{path: filepath.Join(dir, "usual")}, often: tool{filepath.Join(dir, "often"), seeded.Often()}}
	overlay, err := seeded.Overlay(dir)
	if err == nil {
		err = errors.Join(compile(ctx, simulated, t.usual.path), compile(ctx, simulated, t.often.path, "-overlay", overlay))
	}
	if err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

func compile(ctx context.Context, simulated bool, to string, flags ...string) error {
	args, what := []string{"build"}, binary
	if simulated {
		args, what = []string{"test", "-c"}, simulation
	}
	args = append(append(args, flags...), "-o", to, what)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// of is the tool for a run.
func (t *tools) of(s trial.Spec) tool {
	if s.Often {
		return t.often
	}
	return t.usual
}

func (t *tools) remove() { _ = os.RemoveAll(t.dir) }

// run is one run. What it leaves if it fails is put into dir; "" is a new folder.
func (t *tools) run(ctx context.Context, s trial.Spec, dir string) (*trial.Result, error) {
	if s.Simulated {
		return t.simulate(ctx, s, dir)
	}
	u := t.of(s)
	return trial.RunReal(ctx, s, harness.Binary{Path: u.path}, u.env, dir)
}
