package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pofresh/globalchannel/transport/ports"
)

// program starts this test binary as the program itself.
func program(t *testing.T, args ...string) (*exec.Cmd, *running) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{stdout: newScreen(), stderr: newScreen(), code: make(chan int, 1)}
	cmd := exec.Command(self, args...)
	cmd.Env = []string{asProgram + "=1", "HOME=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = r.stdout, r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Errorf("%v: %v", args, err)
		}
		r.code <- cmd.ProcessState.ExitCode()
	}()
	r.cancel = func() { _ = cmd.Process.Kill() } // fails only if it has ended
	t.Cleanup(func() { r.stop(t) })
	return cmd, r
}

// keptAddress is for who listens at it a second time: nobody is given its port meanwhile.
func keptAddress(t *testing.T) string {
	t.Helper()
	addrs, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func signalTo(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestProcess_ExitCodes(t *testing.T) {
	nobody := freeAddr(t)
	tests := []struct {
		args string
		want int
	}{
		{"--help", exitOK},
		{"nonsense", exitUsage},
		{"status --nonsense", exitUsage},
		{"add room", exitUsage},
		{"status --addr " + nobody, exitFailure},
		{"listen --id a --type b --addr " + nobody, exitFailure},
		{"demo --servers 0", exitUsage},
		{"demo --nonsense", exitUsage},
		{"agent --id a --type b --data " + t.TempDir() + " --listen nowhere", exitUsage},
		{"agent --id a --type b --data " + filepath.Join(os.DevNull, "x") + " --listen 127.0.0.1:0", exitFailure},
	}
	for _, tt := range tests {
		_, r := program(t, strings.Fields(tt.args)...)
		if code := r.wait(t); code != tt.want {
			t.Errorf("%s: exit code %d, want %d; stderr:\n%s", tt.args, code, tt.want, r.stderr)
		}
	}
}

func TestProcess_SignalsEndAgentAndListen(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		agent, a := program(t, "agent", "--id", "agent-1", "--type", "agent", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
		addr := boundAt(t, a)
		a.stdout.await(t, "agent-1 ready", 1)
		listen, l := program(t, listenArgs(addr)...)
		l.stderr.await(t, "is attached", 1)
		ask[indexJSON](t, addr, "add", "room", "alice", "connector-2")

		signalTo(t, listen, s)
		if code := l.wait(t); code != exitOK {
			t.Errorf("listen, %v: exit code %d, want 0; stderr:\n%s", s, code, l.stderr)
		}
		eventually(t, "the frontend's members are gone", func() bool { return len(ask[[]string](t, addr, "members", "room")) == 0 })
		signalTo(t, agent, s)
		if code := a.wait(t); code != exitOK {
			t.Errorf("agent, %v: exit code %d, want 0; stderr:\n%s", s, code, a.stderr)
		}
	}
}

// An agent that was asked to stop before it is ready stops.
func TestProcess_SignalEndsAWaitingAgent(t *testing.T) {
	agent, a := program(t, "agent", "--id", "a", "--type", "agent", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--expect", "3", "--join", "127.0.0.1:1")
	boundAt(t, a)
	signalTo(t, agent, syscall.SIGTERM)
	if code := a.wait(t); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, a.stderr)
	}
}

// The frontend outlives its agent: a kill breaks its stream, and it attaches to
// the agent's next life by itself.
func TestProcess_ListenSurvivesTheKillOfItsAgent(t *testing.T) {
	data := t.TempDir()
	addr := keptAddress(t)
	start := func() (*exec.Cmd, *running) {
		return program(t, "agent", "--id", "agent-1", "--type", "agent", "--data", data, "--listen", addr)
	}
	agent, a := start()
	a.stdout.await(t, "agent-1 ready", 1)
	l := launch(t, listenArgs(addr, "--timeout", "30s")...)
	l.stderr.await(t, "is attached", 1)

	signalTo(t, agent, syscall.SIGKILL)
	a.wait(t)
	l.stderr.await(t, "connector-2 is detached", 1)
	_, a = start()
	a.stdout.await(t, "agent-1 ready", 1)
	l.stderr.await(t, "is attached", 2)
	ask[indexJSON](t, addr, "add", "room", "alice", "connector-2")
	ask[pushJSON](t, addr, "push", "room", "--type", "connector", "--route", "r", "--msg", "again")
	var line pushLine
	if err := json.Unmarshal([]byte(l.stdout.await(t, "\n", 1)), &line); err != nil || line.Msg == nil || *line.Msg != "again" {
		t.Errorf("printed %s (%v), want the push after the kill", l.stdout, err)
	}
}
