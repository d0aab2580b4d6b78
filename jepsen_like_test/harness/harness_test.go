package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell stands in for the binary.
func shell() Binary { return Binary{Path: "/bin/sh"} }

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func anything(string) bool { return true }

func TestOutput_WaitSeesEachLineOnce(t *testing.T) {
	ctx, o := bounded(t), newOutput()
	go func() {
		fmt.Fprint(o, "one\ntw")
		fmt.Fprint(o, "o\nthree")
	}()
	next := 0
	for _, want := range []string{"one", "two"} {
		var line string
		var err error
		if line, next, err = o.Wait(ctx, next, anything); err != nil || line != want {
			t.Fatalf("got %q, %v; want %q", line, err, want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := o.Wait(ended, next, anything); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v for a line without its end, want canceled", err)
	}
	if err := Await(ctx, "the partial line", func(context.Context) error {
		if got := o.Tail(1); got != "two\nthree" {
			return fmt.Errorf("tail is %q", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestOutput_KeepsTheEndOfTooMuch(t *testing.T) {
	o := newOutput()
	for i := range 3 * maxLines {
		fmt.Fprintf(o, "line %d\n", i)
	}
	if len(o.lines) > maxLines {
		t.Errorf("%d lines are kept, want at most %d", len(o.lines), maxLines)
	}
	last := 3*maxLines - 1
	if line, next, err := o.Wait(bounded(t), last, anything); err != nil || line != fmt.Sprintf("line %d", last) || next != last+1 {
		t.Errorf("got %q, %d, %v; want the last line by its number", line, next, err)
	}
}

func TestOutput_Crashed(t *testing.T) {
	for text, want := range map[string]string{
		"all is well\nno panic: here\n":             "",
		"x\npanic: oh\n\ngoroutine 1\n":             "panic: oh",
		"==================\nWARNING: DATA RACE\n":  "WARNING: DATA RACE",
		"fatal error: all goroutines are asleep!\n": "fatal error: all goroutines are asleep!",
	} {
		o := newOutput()
		fmt.Fprint(o, text)
		if got := o.crashed(); got != want {
			t.Errorf("of %q: got %q, want %q", text, got, want)
		}
	}
}

func TestBinary_Run(t *testing.T) {
	t.Setenv("GLOBALCHANNEL_ADDR", "from outside")
	r, err := shell().Run(bounded(t), []string{"GLOBALCHANNEL_OUTPUT=json"}, "-c", "echo $GLOBALCHANNEL_ADDR$GLOBALCHANNEL_OUTPUT; echo no >&2; exit 7")
	if err != nil || r.Stdout != "json\n" || r.Stderr != "no\n" || r.Code != 7 {
		t.Errorf("got %v, %v; want json, no and code 7: variables of the caller must not count", r, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := shell().Run(ctx, nil, "-c", "echo before; exec sleep 1000"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v for a command that does not end, want deadline exceeded", err)
	}
	if _, err := (Binary{Path: "/does/not/exist"}).Run(bounded(t), nil, "x"); err == nil {
		t.Error("a missing binary ran")
	}
}

func TestBuild_TakesThePrebuilt(t *testing.T) {
	t.Setenv(PrebuiltVariable, "/some/globalchannel")
	if b, err := Build(bounded(t), "/does/not/exist"); err != nil || b.Path != "/some/globalchannel" {
		t.Errorf("got %v, %v; want the one that was built before", b, err)
	}
}

// A paused process must die like any other: Close relies on it.
func TestProcess_KillWhilePaused(t *testing.T) {
	ctx := bounded(t)
	p, err := shell().Start(nil, "-c", "echo up; exec sleep 1000")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if _, _, err := p.Stdout.Wait(ctx, 0, anything); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if code, err := p.Wait(ctx); code != -1 || err != nil {
		t.Errorf("got code %d, %v; want -1: ended by a signal", code, err)
	}
	p.Kill()
	if code, err := p.Terminate(ctx); code != -1 || err != nil {
		t.Errorf("ending what is gone: %d, %v", code, err)
	}
}

func TestAwait_TellsTheLastReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := Await(ctx, "the moon", func(context.Context) error {
		if tries++; tries == 3 {
			cancel()
			return errors.New("only the end of the context")
		}
		return fmt.Errorf("reason %d", tries)
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the moon") || !strings.Contains(err.Error(), "reason 2") {
		t.Errorf("got %v, want canceled, what for, and reason 2", err)
	}
}
