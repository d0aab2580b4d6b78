package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// simulate runs the test binary: a bubble that deadlocks or panics ends its process,
// and is found out here.
func (t *tools) simulate(ctx context.Context, s trial.Spec, dir string) (_ *trial.Result, err error) {
	keep := dir != ""
	if dir, err = trial.Folder(dir); err != nil {
		return nil, err
	}
	result := filepath.Join(dir, "result.json")
	u := t.of(s)
	cmd := exec.CommandContext(ctx, u.path, "-test.run", "^TestRun$", "-test.timeout", "30m",
		"-workload", s.Workload, "-nemesis", strings.Join(s.Nemeses, ","), "-seed", fmt.Sprint(s.Seed), "-time", s.Time.String(),
		"-result", result, "-dir", dir, "-snapshots-often="+strconv.FormatBool(s.Often))
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1", "GOGC=400"), u.env...) // one core for each is what gives most
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	failed := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	text, err := os.ReadFile(result)
	if err != nil {
		return crashed(s, dir, out.Bytes(), errors.Join(failed, err), time.Since(began))
	}
	var r trial.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the result: %w", err)
	}
	if len(r.Violations) == 0 && !keep {
		return &r, os.RemoveAll(dir)
	}
	return &r, nil
}

// crashed is a run that ended without a result: a panic, a deadlock, a data race, a
// leak. That is a violation (P10).
func crashed(s trial.Spec, dir string, out []byte, err error, took time.Duration) (*trial.Result, error) {
	if werr := os.WriteFile(filepath.Join(dir, "output.txt"), out, 0o600); werr != nil {
		return nil, werr
	}
	const most = 2000
	return &trial.Result{
		Spec: s, Took: took, Dir: dir,
		Violations: []string{fmt.Sprintf("the run ended without a result: %v\n%s", err, out[:min(len(out), most)])},
	}, nil
}
