package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// fleet starts this executable as servers and ends them. Its methods belong to
// one goroutine; events come from one more per process.
type fleet struct {
	exe    string
	stage  *stage
	events chan event
	closed chan struct{}
	once   sync.Once
	procs  []*process
}

// process is one child.
type process struct {
	sid   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when it is gone and all it had written was read
}

// event is something a process said, or its end: exactly one of the two.
type event struct {
	proc   *process
	report *report
	end    *end
}

// end is how a process ended.
type end struct {
	killed bool  // by SIGKILL, whoever sent it
	err    error // what it left behind, in words
}

func newFleet(s *stage) (*fleet, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	return &fleet{exe: exe, stage: s, events: make(chan event, 64), closed: make(chan struct{})}, nil
}

// start runs one server. Its log goes on in the same file over restarts.
func (f *fleet) start(a assignment) (*process, error) {
	log, err := os.OpenFile(f.stage.logFile(a.SID), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", a.SID, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(f.exe, childCommand)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", a.SID, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", a.SID, errors.Join(err, stdin.Close()))
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", a.SID, err)
	}
	p := &process{sid: a.SID, cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	f.procs = append(slices.DeleteFunc(f.procs, (*process).gone), p)
	go f.listen(p, stdout)
	return p, p.tell(a)
}

// listen passes on what p says, to its last byte, and then its end. After Close
// it goes on reading, so that a child that is ending finds room for its words.
func (f *fleet) listen(p *process, stdout io.Reader) {
	defer close(p.ended)
	err := readLines(stdout, func(r report) error {
		f.send(event{proc: p, report: &r})
		return nil
	})
	if err != nil {
		// It wrote what is no report. Nothing it says can be counted on any more.
		_ = p.kill() // fails only if it is gone already
		_, _ = io.Copy(io.Discard, stdout)
	}
	wait := p.cmd.Wait()
	f.send(event{proc: p, end: &end{killed: err == nil && bySIGKILL(wait), err: errors.Join(err, wait)}})
}

func (f *fleet) send(e event) {
	select {
	case f.events <- e:
	case <-f.closed:
	}
}

func bySIGKILL(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Close ends all processes by closing their stdin, kills those that do not take
// the hint in time, and waits for every one.
func (f *fleet) Close() {
	f.once.Do(func() { close(f.closed) })
	for _, p := range f.procs {
		_ = p.stdin.Close() // fails only if it is gone already
	}
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	for _, p := range f.procs {
		select {
		case <-p.ended:
			continue
		case <-patience.C:
		}
		for _, late := range f.procs {
			_ = late.kill() // likewise
		}
		<-p.ended
	}
}

func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill is SIGKILL: the process gets no chance to say goodbye.
func (p *process) kill() error { return p.cmd.Process.Kill() }

// tell writes one line to the child. The pipe holds far more than all orders.
func (p *process) tell(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell %s: %w", p.sid, err)
	}
	return nil
}
