package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
)

// profile writes what this process spends its CPU on, for a while, into a file for
// go tool pprof.
func (c *child) profile(ctx context.Context, p Spent) (_ proc.None, err error) {
	f, err := os.Create(p.File)
	if err != nil {
		return proc.None{}, fmt.Errorf("profile: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return proc.None{}, fmt.Errorf("profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	wait(ctx, p.Duration)
	return proc.None{}, nil
}
