package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must happen; a busy machine with one
// core needs much of it, and a passing test none.
const patience = 60 * time.Second

// asProgram makes the test binary be the program itself, for tests of processes.
const asProgram = "RUN_AS_GLOBALCHANNEL"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// result is what a finished command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// invoke runs a command in this process to its end, with an empty environment.
func invoke(t *testing.T, args ...string) result {
	t.Helper()
	return invokeEnv(t, nil, args...)
}

func invokeEnv(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, fakeEnv(env), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

func fakeEnv(env map[string]string) lookup {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// running is a command that goes on until stop.
type running struct {
	stdout, stderr *screen
	cancel         context.CancelFunc
	code           chan int
}

// launch starts a command in this process and stops it at the end of the test.
func launch(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stdout: newScreen(), stderr: newScreen(), cancel: cancel, code: make(chan int, 1)}
	go func() { r.code <- run(ctx, args, fakeEnv(nil), r.stdout, r.stderr) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop is SIGTERM as main sees it, and gives the exit code. Safe to repeat.
func (r *running) stop(t *testing.T) int {
	t.Helper()
	r.cancel()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		r.code <- code
		return code
	case <-time.After(patience):
		t.Fatalf("the command did not end; stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
		return -1
	}
}

// screen is a stdout that one can wait on.
type screen struct {
	mu      sync.Mutex // guards all below
	text    strings.Builder
	changed chan struct{} // closed at the next write
}

func newScreen() *screen { return &screen{changed: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(b), nil
}

func (s *screen) look() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), s.changed
}

func (s *screen) String() string {
	text, _ := s.look()
	return text
}

// await waits until part was written n times and returns all text so far.
func (s *screen) await(t *testing.T, part string, n int) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		text, changed := s.look()
		if strings.Count(text, part) >= n {
			return text
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q was not written %d times; so far:\n%s", part, n, text)
		}
	}
}

// wantCode fails with everything the command said.
func wantCode(t *testing.T, r result, code int) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.code, code, r.stdout, r.stderr)
	}
}

// wantParts fails for each part that text lacks.
func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}
