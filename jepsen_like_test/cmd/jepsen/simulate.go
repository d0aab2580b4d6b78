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
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// simulate runs the test binary: a bubble that deadlocks or panics ends its process,
// and is found out here.
func (t *tools) simulate(ctx context.Context, s trial.Spec, dir string) (r *trial.Result, err error) {
	dir, remove, err := trial.Folder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r == nil || len(r.Violations) == 0 {
			remove()
		}
	}()
	verdict := filepath.Join(dir, "verdict.json") // written last
	u := t.of(s)
	cmd := exec.CommandContext(ctx, u.path, "-test.run", "^TestRun$", "-test.timeout", (30*time.Minute + s.Time).String(),
		"-workload", s.Workload, "-nemesis", strings.Join(s.Nemeses, ","), "-seed", fmt.Sprint(s.Seed), "-time", s.Time.String(),
		"-result", verdict, "-dir", dir, "-snapshots-often="+strconv.FormatBool(s.Often), "-calm", fmt.Sprint(s.Calm), "-latency", s.Latency.String())
	cmd.Env = append(append(os.Environ(), "GOMAXPROCS=1", "GOGC=400"), u.env...) // one core for each is what gives most
	cmd.SysProcAttr = harness.DiesWithParent()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	failed := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r, err = readVerdict(verdict); err != nil {
		r, err = nil, errors.Join(failed, err)
	}
	if failed == nil || r != nil && (len(r.Violations) > 0 || !r.Valid()) {
		return r, err
	}
	return ended(s, dir, out.Bytes(), failed, time.Since(began))
}

func readVerdict(path string) (*trial.Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(trial.Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read the verdict: %w", err)
	}
	return r, os.Remove(path)
}

// ended is a run whose process failed, though it found nothing or could not say. A panic,
// a deadlock or a leak is a violation (P10); anything else is no verdict.
func ended(s trial.Spec, dir string, out []byte, failed error, took time.Duration) (*trial.Result, error) {
	const most = 2000
	told := out[max(len(out)-most, 0):]
	for _, sign := range []string{"panic: ", "fatal error: ", "goleak", "DATA RACE"} {
		if i := bytes.Index(out, []byte(sign)); i >= 0 && !bytes.Contains(out, []byte("test timed out")) {
			told = out[i:min(len(out), i+most)]
			err := os.WriteFile(filepath.Join(dir, "output.txt"), out, 0o600)
			return &trial.Result{Spec: s, Took: took, Dir: dir, Violations: []string{fmt.Sprintf("the run's process ended: %v\n%s", failed, told)}}, err
		}
	}
	return nil, fmt.Errorf("the run's process ended: %w\n%s", failed, told)
}
