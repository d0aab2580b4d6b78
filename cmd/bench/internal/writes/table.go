package writes

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
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
			fsyncs = report.Thousands(r.FsyncsPerS.Median)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%.1f\t%s%s\n", strings.TrimSpace(r.Place+" "+r.Call), r.Outstanding,
			report.Ranged(r.OpsPerS, report.Thousands), report.Ranged(r.P50us, inMs), report.Ranged(r.P99us, inMs), r.CPUus.Median, fsyncs, remarks(r))
	}
	report.WriteMeasures(t, d.Spreads)
	if err := t.Flush(); err != nil {
		return err
	}
	report.WriteNotes(&out, d.Notes)
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

func inMs(us float64) string { return fmt.Sprintf("%.2f", us/1e3) }

func latency(us float64) string { return inMs(us) + " ms" }
