package report

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Ranged leaves the range out where there is none.
func Ranged(s stats.Spread, show func(float64) string) string {
	if s.Min == s.Max {
		return show(s.Median)
	}
	return fmt.Sprintf("%s [%s..%s]", show(s.Median), show(s.Min), show(s.Max))
}

// Short shows three digits, or all of a large number.
func Short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1000:
		return Thousands(v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Thousands separates them.
func Thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	first := 1 // place for a comma
	if v < 0 {
		first = 2
	}
	for i := len(s) - 3; i >= first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Milliseconds is how the documents have durations.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// Quoted is a remark in brackets, if there is one.
func Quoted(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", text)
}
