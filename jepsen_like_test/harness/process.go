package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// lateOutput is how long the output of a process that is gone is read on, in
// case a child of it holds the other end.
const lateOutput = 5 * time.Second

// Process is one running command of the binary.
type Process struct {
	Stdout, Stderr *Output

	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone and all it wrote was read
}

// Start runs a command in the background; env is added to the environment.
func (b Binary) Start(env []string, args ...string) (*Process, error) {
	return b.start(newOutput(), newOutput(), env, args)
}

func (b Binary) start(stdout, stderr *Output, env, args []string) (*Process, error) {
	p := &Process{Stdout: stdout, Stderr: stderr, ended: make(chan struct{})}
	p.cmd = exec.Command(b.Path, args...)
	p.cmd.Env = b.environment(env)
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	p.cmd.SysProcAttr, p.cmd.WaitDelay = DiesWithParent(), lateOutput
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // Exit tells from ProcessState
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends sig; a process that is gone is an error.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to %d: %w", sig, p.PID(), err)
	}
	return nil
}

// Kill ends the process as a power cut would and returns when it is gone. A
// stopped one dies too. Killing what is gone does nothing.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error says that it is gone
	<-p.ended
}

// Wait returns the exit code, or -1 if a signal ended the process.
func (p *Process) Wait(ctx context.Context) (code int, err error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("process %d goes on: %w", p.PID(), context.Cause(ctx))
	}
}

// Terminate asks the process to end (SIGTERM) and returns its exit code.
func (p *Process) Terminate(ctx context.Context) (code int, err error) {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	return p.Wait(ctx)
}

// Result is what a finished command left.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int
}

func (r Result) String() string {
	return fmt.Sprintf("globalchannel %q: exit code %d\nstdout: %s\nstderr: %s", r.Args, r.Code, r.Stdout, r.Stderr)
}

// Run runs a command to its end. The error is that it did not end, or could not
// be run; how it ended is in the result.
func (b Binary) Run(ctx context.Context, env []string, args ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, b.Path, args...)
	cmd.Env = b.environment(env)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr, cmd.WaitDelay = DiesWithParent(), lateOutput
	err := cmd.Run()
	r := Result{Args: args, Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return r, fmt.Errorf("%v did not end: %w\nstdout: %s\nstderr: %s", args, context.Cause(ctx), r.Stdout, r.Stderr)
	}
	if err != nil && !errors.As(err, &exit) {
		return r, fmt.Errorf("run %v: %w", args, err)
	}
	return r, nil
}
