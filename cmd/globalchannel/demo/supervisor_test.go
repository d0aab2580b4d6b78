package demo

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nextEvent waits for what a process says or how it ends.
func nextEvent(t *testing.T, f *fleet) event {
	t.Helper()
	select {
	case e := <-f.events:
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event in a minute")
		panic("unreachable")
	}
}

func newTestFleet(t *testing.T) *fleet {
	t.Helper()
	f, err := newFleet(&stage{dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// A child whose assignment cannot be carried out says why, in its report and in
// its log, and its end is not taken for a kill.
func TestFleet_AChildThatCannotStartExplainsItself(t *testing.T) {
	f := newTestFleet(t)
	if _, err := f.start(assignment{SID: sid1, SecretFile: "/does/not/exist"}); err != nil {
		t.Fatal(err)
	}
	e := nextEvent(t, f)
	if e.report == nil || !strings.Contains(e.report.Failed, "read secret") {
		t.Fatalf("first event %+v, want the failure", e.report)
	}
	e = nextEvent(t, f)
	if e.end == nil || e.end.killed || e.end.err == nil {
		t.Fatalf("second event %+v, want an end by itself", e)
	}
	if got := lastLines(f.stage.logFile(sid1), 5); !strings.Contains(got, "read secret") {
		t.Errorf("log: %q", got)
	}
}

func TestFleet_SeesASIGKILL(t *testing.T) {
	f := newTestFleet(t)
	p, err := f.start(assignment{SID: sid1, SecretFile: neverOpens(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	if e := nextEvent(t, f); e.end == nil || !e.end.killed {
		t.Errorf("event %+v, want an end by SIGKILL", e)
	}
}

// What a SIGKILLed demo leaves: a closed pipe. Nothing else tells the child.
func TestChild_EndsWhenItsStdinEnds(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, childCommand)
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil || out.Len() > 0 {
		t.Errorf("child: %v, output %q; want a silent good end", err, out.String())
	}
}

// deadCommand stands for a process in tests that start none.
func deadCommand(t *testing.T) *exec.Cmd {
	t.Helper()
	return &exec.Cmd{Process: &os.Process{Pid: 4711}}
}

// killByPaste does what a reader of "kill -9 PID" does.
func killByPaste(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}
