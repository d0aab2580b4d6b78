package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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
	t.Parallel()
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
	t.Parallel()
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

// An agent that cannot say goodbye, because no majority answers, ends all the same:
// by itself within 10 s, and at once when it is told a second time.
func TestProcess_SignalsEndAnAgentWithoutAMajority(t *testing.T) {
	t.Parallel()
	addrs, err := ports.Free(2)
	if err != nil {
		t.Fatal(err)
	}
	start := func(i int) (*exec.Cmd, *running) {
		return program(t, "agent", "--id", fmt.Sprint("agent-", i), "--type", "agent", "--data", t.TempDir(),
			"--listen", addrs[i], "--expect", "2", "--join", strings.Join(addrs, ","))
	}
	for _, signals := range []int{1, 2} {
		first, a := start(0)
		other, b := start(1)
		a.stdout.await(t, "agent-0 ready", 1)
		b.stdout.await(t, "agent-1 ready", 1)
		signalTo(t, other, syscall.SIGKILL)
		b.wait(t)
		began := time.Now()
		signalTo(t, first, syscall.SIGTERM)
		a.stderr.await(t, "stopping", 1)
		code := 0
		if signals == 2 {
			// The first one's reader may take a moment to step aside.
			again := time.NewTicker(10 * time.Millisecond)
			for ended := false; !ended; {
				select {
				case code = <-a.code:
					ended = true
				case <-again.C:
					_ = first.Process.Signal(syscall.SIGTERM) // it may have ended
				}
			}
			again.Stop()
			a.code <- code
		} else {
			code = a.wait(t)
		}
		took := time.Since(began)
		switch {
		case signals == 1 && (code == -1 || took > 15*time.Second):
			t.Errorf("one signal: exit code %d after %v; stderr:\n%s", code, took, a.stderr)
		case signals == 2 && (code != -1 || took > 3*time.Second):
			t.Errorf("two signals: exit code %d after %v, want the end by the signal", code, took)
		}
		t.Logf("%d signals: %v, exit code %d", signals, took, code)
	}
}

// A directory of another cluster than the one it is told to join.
func TestProcess_AgentOfAnotherClusterSaysSoAndEnds(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	lone := launch(t, "agent", "--id", "b", "--type", "agent", "--data", data, "--listen", "127.0.0.1:0")
	lone.stdout.await(t, "b ready", 1)
	lone.stop(t)
	first, addr := startAgent(t, "a", "agent")
	first.stdout.await(t, "a ready", 1)
	_, r := program(t, "agent", "--id", "b", "--type", "agent", "--data", data, "--listen", "127.0.0.1:0", "--join", addr)
	if code := r.wait(t); code != exitFailure {
		t.Errorf("exit code %d, want 1", code)
	}
	wantParts(t, r.stderr.String(), "globalchannel: ", "refused", "has data of cluster", "empty data directory")
	if strings.Contains(r.stdout.String(), "ready") {
		t.Errorf("it went on: %s", r.stdout)
	}
}
