package demo

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// screen is what a demo prints, readable while it runs.
type screen struct {
	mu   sync.Mutex // guards text, seen
	text bytes.Buffer
	seen chan struct{} // closed at the next write
}

func newScreen() *screen { return &screen{seen: make(chan struct{})} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.seen)
	s.seen = make(chan struct{})
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// wait returns once re matches what was printed.
func (s *screen) wait(t *testing.T, re string) {
	t.Helper()
	for deadline := time.After(2 * time.Minute); ; {
		s.mu.Lock()
		text, seen := s.text.String(), s.seen
		s.mu.Unlock()
		if regexp.MustCompile(re).MatchString(text) {
			return
		}
		select {
		case <-seen:
		case <-deadline:
			t.Fatalf("never printed: %s\n%s", re, text)
		}
	}
}

// demoWith starts the command with real child processes; the folder of the demo is
// in the test's.
func demoWith(t *testing.T, args ...string) (out *screen, folder string, result chan error, stop func()) {
	t.Helper()
	folder = t.TempDir()
	t.Setenv("TMPDIR", folder)
	ctx, cancel := context.WithCancel(t.Context())
	out, result = newScreen(), make(chan error, 1)
	cmd := NewCommand()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	go func() { result <- cmd.ExecuteContext(ctx) }()
	return out, folder, result, cancel
}

func demands(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, re := range lines {
		if !regexp.MustCompile(`(?m)` + re).MatchString(text) {
			t.Errorf("output lacks %s", re)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 101 && !strings.Contains(line, "--secret-file") && !strings.Contains(line, "gc-demo-") {
			t.Errorf("line of %d bytes: %s", len(line), line)
		}
	}
	if t.Failed() {
		t.Log("\n" + text)
	}
}

func leftBehind(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}

func TestDemo_SurvivesBothKills(t *testing.T) {
	out, folder, result, stop := demoWith(t, "--servers", "3", "--players", "60", "--duration", "6s")
	defer stop()
	if err := <-result; err != nil {
		t.Errorf("demo: %v", err)
	}
	demands(t, out.String(),
		`^globalchannel demo: 3 servers, 60 players`, `players +all 60 logged in`,
		`killed +connector-\d  pid \d+  \(SIGKILL; does not lead\)`, `killed +connector-\d  pid \d+  \(SIGKILL; the leader\)`,
		`gone +connector-\d  its 20 players, everywhere, \d+\.\d s after the kill`,
		`back +connector-\d  its 20 players, \d+\.\d s after the kill`, `writes +stood still for \d+\.\d\d s`,
		`connector-3 +[\d,]+  [0-9a-f]{12} +\d+ +0 +0`, `chat +[\d,]+ pushes to [\d,]+ members`,
		`matches +[\d,]+ deliveries owed: [1-9][\d,]* made, [\d,]+ reported as not made,`, `at servers killed since, 0 missed or made twice$`,
		`^0 lost, 0 ghosts: [\d,]+ writes acknowledged, [\d,]+ memberships checked on 3 servers, [1-9]\d* leader changes?$`)
	leftBehind(t, folder)
}

// One server that goes on until it is told to stop, is killed meanwhile by somebody
// else, and leaves nothing behind.
func TestDemo_KeepsGoingUntilStopped(t *testing.T) {
	out, folder, result, stop := demoWith(t, "--servers", "1", "--players", "5", "--duration", "1s", "--keep")
	defer stop()
	out.wait(t, `kill -9 (\d+)`)
	pid := regexp.MustCompile(`kill -9 (\d+)`).FindStringSubmatch(out.String())[1]
	killByPaste(t, pid)
	out.wait(t, `(?s)not by the demo; the leader.*back.*kill -9`)
	stop()
	if err := <-result; err != nil {
		t.Errorf("demo: %v, want none: Ctrl-C is how it ends", err)
	}
	demands(t, out.String(), `with 1 server`, `^0 lost, 0 ghosts: .* on 1 server,`, `members guild:1 --addr 127\.0\.0\.1:\d+ --secret-file `)
	leftBehind(t, folder)
}

func TestDemo_CtrlCEndsEverything(t *testing.T) {
	out, folder, result, stop := demoWith(t, "--servers", "2", "--players", "10")
	out.wait(t, `started +connector-2`)
	stop()
	if err := <-result; err == nil {
		t.Error("an interrupted demo showed nothing, and says it is fine")
	}
	leftBehind(t, folder)
}

func TestCommand_RefusesWhatMakesNoDemo(t *testing.T) {
	for _, args := range [][]string{{"--servers", "0"}, {"--servers", "51"}, {"--players", "2", "--servers", "3"}, {"--duration", "0s"}, {"extra"}} {
		cmd := NewCommand()
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
}
