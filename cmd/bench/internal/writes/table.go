package writes

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// printTable is the document for people.
func printTable(w io.Writer, d Document) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d CPUs, %s, %s, 4 KiB append and fdatasync %.2f ms; %d runs of %g s, median [min..max]\n",
		d.Machine.CPUs, d.Machine.OS, d.Machine.Go, d.Machine.SyncMs, d.Setup.Runs, d.Setup.Seconds)
	if r := d.Redis; r != nil {
		fmt.Fprintf(&out, "Redis %s, appendonly %s, appendfsync %s, save %q, at most %d connections\n", r.Version, r.AppendOnly, r.AppendFsync, r.Save, r.Pool)
	}
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	var last string
	for _, r := range d.Rows {
		if head := strings.TrimSpace(r.System + " " + r.Store); head != last {
			last = head
			fmt.Fprintf(t, "\n%s\toutstanding\toperations/s\tp50 ms\tp99 ms\tCPU us/op\tfsync/s\n", strings.ToUpper(head))
		}
		fsyncs := "-"
		if r.FsyncsPerS != nil {
			fsyncs = thousands(r.FsyncsPerS.Median)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%.1f\t%s%s\n", strings.TrimSpace(r.Place+" "+r.Call), r.Outstanding,
			ranged(r.OpsPerS, thousands), ranged(r.P50us, inMs), ranged(r.P99us, inMs), r.CPUus.Median, fsyncs, remarks(r))
	}
	if len(d.Spreads) > 0 {
		fmt.Fprintf(t, "\nMEASURES\n")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Spreads)) {
		fmt.Fprintf(t, "%s\t%s\n", name, ranged(d.Spreads[name], short))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	out.WriteString("\n")
	for _, n := range d.Notes {
		fmt.Fprintf(&out, "- %s\n", n)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// remarks are what else there is to know of a row.
func remarks(r RowFigures) string {
	var text string
	if r.Elections > 0 {
		text += fmt.Sprintf("\t%d elections", r.Elections)
	}
	if r.Errors > 0 {
		text += fmt.Sprintf("\t%d ERRORS: %s", r.Errors, r.Error)
	}
	return text
}

// ranged leaves the range out where there is none.
func ranged(s stats.Spread, show func(float64) string) string {
	if s.Min == s.Max {
		return show(s.Median)
	}
	return fmt.Sprintf("%s [%s..%s]", show(s.Median), show(s.Min), show(s.Max))
}

func inMs(us float64) string { return fmt.Sprintf("%.2f", us/1e3) }

func latency(us float64) string { return inMs(us) + " ms" }

// short shows three digits, or all of a large number.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 1000:
		return thousands(v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands separates them.
func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
