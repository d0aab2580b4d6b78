package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is its own child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, handlers()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

type sum struct{ A, B int }

func handlers() map[string]Handler {
	return map[string]Handler{
		"add": Handle(func(_ context.Context, s sum) (int, error) { return s.A + s.B, nil }),
		"fail": Handle(func(context.Context, None) (None, error) {
			return None{}, errors.New("it is broken")
		}),
		"wait": Handle(func(ctx context.Context, _ None) (None, error) {
			<-ctx.Done()
			return None{}, ctx.Err()
		}),
		"long": Handle(func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil }),
		"crash": Handle(func(context.Context, None) (None, error) {
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(3)
			return None{}, nil
		}),
		"babble": Handle(func(context.Context, None) (None, error) {
			fmt.Println("this is no reply")
			return None{}, nil
		}),
	}
}

func startChild(t *testing.T) (*Process, context.Context) {
	t.Helper()
	g, err := NewGroup(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	p, err := g.Start("child")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return p, ctx
}

func TestProcess_AnswersCalls(t *testing.T) {
	p, ctx := startChild(t)
	var got int
	if err := p.Call(ctx, "add", sum{2, 3}, &got); err != nil || got != 5 {
		t.Errorf("got %d, %v, want 5", got, err)
	}
	if err := p.Call(ctx, "fail", None{}, nil); err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("got %v, want the handler's error", err)
	}
	if err := p.Call(ctx, "absent", None{}, nil); err == nil || !strings.Contains(err.Error(), "unknown request") {
		t.Errorf("got %v, want that nobody knows it", err)
	}
	const n = 1 << 20
	var long string
	if err := p.Call(ctx, "long", n, &long); err != nil || len(long) != n {
		t.Errorf("got %d bytes, %v, want %d", len(long), err, n)
	}
	if err := p.End(ctx); err != nil {
		t.Errorf("end: got %v", err)
	}
}

func TestProcess_CallsDoNotWaitForOneAnother(t *testing.T) {
	p, ctx := startChild(t)
	slow, cancel := context.WithCancel(ctx)
	waited := make(chan error, 1)
	go func() { waited <- p.Call(slow, "wait", None{}, nil) }()
	var got int
	if err := p.Call(ctx, "add", sum{1, 1}, &got); err != nil || got != 2 {
		t.Errorf("got %d, %v, want 2", got, err)
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestProcess_EndsWithItsStdin(t *testing.T) {
	p, ctx := startChild(t)
	waited := make(chan error, 1)
	go func() { waited <- p.Call(ctx, "wait", None{}, nil) }()
	if err := p.Call(ctx, "add", sum{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.End(ctx); err != nil {
		t.Errorf("end: got %v", err)
	}
	if err := <-waited; err == nil {
		t.Error("a call that was outstanding: got no error")
	}
}

func TestProcess_KillFailsCalls(t *testing.T) {
	p, ctx := startChild(t)
	waited := make(chan error, 1)
	go func() { waited <- p.Call(ctx, "wait", None{}, nil) }()
	if err := p.Call(ctx, "add", sum{}, nil); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	p.Kill() // does nothing
	if err := <-waited; err == nil {
		t.Error("a call that was outstanding: got no error")
	}
	if err := p.Call(ctx, "add", sum{}, nil); err == nil {
		t.Error("a call to what is gone: got no error")
	}
}

func TestProcess_SuspendedDoesNothingUntilResumed(t *testing.T) {
	p, ctx := startChild(t)
	if err := p.Call(ctx, "add", sum{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := p.Call(short, "add", sum{1, 2}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("suspended: got %v, want no answer", err)
	}
	if err := p.Resume(); err != nil {
		t.Fatal(err)
	}
	var got int
	if err := p.Call(ctx, "add", sum{1, 2}, &got); err != nil || got != 3 {
		t.Errorf("resumed: got %d, %v, want 3", got, err)
	}
	if err := p.Suspend(); err != nil {
		t.Fatal(err)
	}
	p.Kill()
}

func TestProcess_QuotesLastWords(t *testing.T) {
	p, ctx := startChild(t)
	err := p.Call(ctx, "crash", None{}, nil)
	if err == nil || !strings.Contains(err.Error(), "last words") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want the exit code and what it had written", err)
	}
}

func TestProcess_WhoBabblesIsKilled(t *testing.T) {
	p, ctx := startChild(t)
	if err := p.Call(ctx, "babble", None{}, nil); err == nil {
		t.Error("got no error")
	}
}

func TestServe_EndsContextsAndWaits(t *testing.T) {
	in, requests := io.Pipe()
	ended := false
	began := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), in, io.Discard, map[string]Handler{
			"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
				close(began)
				<-ctx.Done()
				ended = true
				return nil, ctx.Err()
			},
		})
	}()
	if err := (&writer{w: requests}).send(request{ID: 1, Do: "wait"}); err != nil {
		t.Fatal(err)
	}
	<-began
	if err := requests.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v", err)
	}
	if !ended {
		t.Error("the handler was not waited for")
	}
}

func TestReceive_LeavesOutALineCutShort(t *testing.T) {
	var got []int
	if err := receive(strings.NewReader("1\n2\n3"), func(n int) { got = append(got, n) }); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v, want the two whole lines", got, err)
	}
	if err := receive(strings.NewReader("1\nx\n3\n"), func(int) {}); err == nil {
		t.Error("a line that is no number: got no error")
	}
}
