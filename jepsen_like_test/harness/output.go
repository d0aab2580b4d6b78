package harness

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// maxLines bounds what is kept of a process that does not stop talking.
const maxLines = 20000

// Output is what processes wrote, by line. It is written to by one process at a
// time and may be read at any time.
type Output struct {
	mu      sync.Mutex // guards all below
	lines   []string
	dropped int // lines no longer kept
	partial []byte
	changed chan struct{} // closed at the next line
}

func newOutput() *Output { return &Output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.addLocked(string(line))
		o.partial = append([]byte(nil), rest...)
	}
}

// Mark adds a line of our own.
func (o *Output) Mark(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addLocked("---- " + fmt.Sprintf(format, args...))
}

func (o *Output) addLocked(line string) {
	o.lines = append(o.lines, line)
	if len(o.lines) > maxLines {
		o.dropped += maxLines / 4
		o.lines = append([]string(nil), o.lines[maxLines/4:]...)
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// Wait returns the first line from number from on that match accepts, and the
// number after it. Lines are numbered from 0.
func (o *Output) Wait(ctx context.Context, from int, match func(line string) bool) (line string, next int, err error) {
	for {
		o.mu.Lock()
		lines, first, changed := o.lines, o.dropped, o.changed
		o.mu.Unlock()
		for i := max(from-first, 0); i < len(lines); i++ {
			if match(lines[i]) {
				return lines[i], first + i + 1, nil
			}
		}
		from = max(from, first+len(lines))
		select {
		case <-changed:
		case <-ctx.Done():
			return "", from, fmt.Errorf("the line did not come: %w; the last ones are:\n%s", context.Cause(ctx), o.Tail(10))
		}
	}
}

// Tail is the last n lines, and what may follow them.
func (o *Output) Tail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines[max(len(o.lines)-n, 0):]
	if len(o.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(o.partial))
	}
	return strings.Join(lines, "\n")
}

// crashed finds the first line with which a Go program says that it is broken.
func (o *Output) crashed() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.lines {
		for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if strings.HasPrefix(line, sign) {
				return line
			}
		}
	}
	return ""
}
