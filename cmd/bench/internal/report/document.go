package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Machine is where it was measured.
type Machine struct {
	CPUs   int     `json:"cpus"`
	Go     string  `json:"go"`
	OS     string  `json:"os"`
	SyncMs float64 `json:"append_and_fdatasync_4KiB_ms"` // median
}

// ThisMachine is the one that this process runs on.
func ThisMachine(sync time.Duration) Machine {
	return Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, SyncMs: Milliseconds(sync)}
}

// Medians are the measures of a document, by name.
func Medians(spreads map[string]stats.Spread) map[string]float64 {
	medians := make(map[string]float64, len(spreads))
	for name, s := range spreads {
		medians[name] = s.Median
	}
	return medians
}

// Quantiles puts quantiles of values under their names, if there are values. They
// are of single events and have no spread.
func Quantiles(m map[string]stats.Spread, values []float64, names map[string]float64) {
	if len(values) == 0 {
		return
	}
	for name, q := range names {
		m[name] = stats.SpreadOf(stats.Quantile(values, q))
	}
}

// WriteMeasures is the table's part with the measures.
func WriteMeasures(w io.Writer, spreads map[string]stats.Spread) {
	if len(spreads) > 0 {
		fmt.Fprintf(w, "\nMEASURES\n")
	}
	for _, name := range slices.Sorted(maps.Keys(spreads)) {
		fmt.Fprintf(w, "%s\t%s\n", name, Ranged(spreads[name], Short))
	}
}

// WriteNotes is the table's end.
func WriteNotes(w io.Writer, notes []string) {
	fmt.Fprintln(w)
	for _, n := range notes {
		fmt.Fprintf(w, "- %s\n", n)
	}
}

// PrintJSON prints a document.
func PrintJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(document)
}
