package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is one child.
type Process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *writer
	log   string        // file with its stderr
	ended chan struct{} // closed when it is gone and all that it had written was read

	mu      sync.Mutex // guards next and waiting
	next    uint64
	waiting map[uint64]chan<- reply
}

// start runs this executable as a child; its stderr goes to the file log.
func start(exe, name, log string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer f.Close() // the child has its own copy
	cmd := exec.Command(exe, Command)
	cmd.Stderr, cmd.SysProcAttr = f, childAttributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, errors.Join(err, stdin.Close()))
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{
		name: name, cmd: cmd, stdin: stdin, out: &writer{w: stdin}, log: log,
		ended: make(chan struct{}), waiting: make(map[uint64]chan<- reply),
	}
	go p.listen(stdout)
	return p, nil
}

// listen hands out the replies, to the last one.
func (p *Process) listen(stdout io.Reader) {
	defer close(p.ended)
	err := receive(stdout, func(r reply) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if to, ok := p.waiting[r.ID]; ok {
			delete(p.waiting, r.ID)
			to <- r // has room
		}
	})
	if err != nil {
		_ = p.cmd.Process.Kill() // what it says is no reply: nothing counts any more
		_, _ = io.Copy(io.Discard, stdout)
	}
	_ = p.cmd.Wait() // how it ended, ProcessState tells
}

// Call has the child answer a request and puts the answer into result, a pointer;
// nil: it is not wanted. A child that is gone is an error that quotes its stderr.
func (p *Process) Call(ctx context.Context, do string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("%s %s: %w", p.name, do, err)
	}
	answer := make(chan reply, 1)
	p.mu.Lock()
	p.next++
	id := p.next
	p.waiting[id] = answer
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, id)
	}()
	if err := p.out.send(request{ID: id, Do: do, Args: raw}); err != nil {
		return fmt.Errorf("%s %s: %w%s", p.name, do, err, p.lastWords())
	}
	select {
	case r := <-answer:
		return p.take(do, r, result)
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", p.name, do, context.Cause(ctx))
	}
	select {
	case r := <-answer: // the last that it said
		return p.take(do, r, result)
	default:
		return fmt.Errorf("%s %s: the process ended: %v%s", p.name, do, p.cmd.ProcessState, p.lastWords())
	}
}

func (p *Process) take(do string, r reply, result any) error {
	if r.Err != "" {
		return fmt.Errorf("%s %s: %s", p.name, do, r.Err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return fmt.Errorf("%s %s: read answer: %w", p.name, do, err)
	}
	return nil
}

// lastWords quotes the end of stderr.
func (p *Process) lastWords() string {
	const most = 2000
	log, err := os.ReadFile(p.log)
	if err != nil || len(log) == 0 {
		return ""
	}
	return "\n" + string(bytes.TrimSpace(log[max(0, len(log)-most):]))
}

// Kill is SIGKILL; it returns when the process is gone. Killing what is gone does
// nothing.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error says that it is gone
	<-p.ended
}

// Suspend is SIGSTOP: the process is there and does nothing. Kill ends it all the same.
func (p *Process) Suspend() error { return p.signal(syscall.SIGSTOP) }

// Resume is SIGCONT.
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s: %v: %w", p.name, s, err)
	}
	return nil
}

// End closes the child's stdin and waits until it is gone. If ctx ends first the
// child is killed, and the error says so.
func (p *Process) End(ctx context.Context) error {
	_ = p.stdin.Close() // an error says that it is gone
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not end and was killed: %w", p.name, context.Cause(ctx))
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s ended with %v%s", p.name, p.cmd.ProcessState, p.lastWords())
	}
	return nil
}
