package demo

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// printer writes the demo's lines: the clock, a word, the rest. A terminal that
// has gone away does not stop the demo from ending its children.
type printer struct {
	w   io.Writer
	now func() time.Duration
}

func (p *printer) title(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *printer) event(word, format string, args ...any) {
	fmt.Fprintf(p.w, "%6s  %-8s %s\n", clock(p.now()), word, fmt.Sprintf(format, args...))
}

// clock is seconds and tenths since the start.
func clock(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) }

// count is n with a comma at each thousand.
func count[T int | int64 | uint64](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
