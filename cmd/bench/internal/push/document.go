package push

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Document is everything that was measured.
type Document struct {
	Machine  report.Machine          `json:"machine"`
	Setup    Setup                   `json:"setup"`
	Redis    string                  `json:"redis_version,omitempty"`
	Rows     []RowFigures            `json:"rows"`
	Stalls   []Stall                 `json:"stalls"`
	Measures map[string]float64      `json:"measures"` // medians of the runs
	Spreads  map[string]stats.Spread `json:"spreads"`  // of the measures
	Notes    []string                `json:"notes"`
}

// Setup is how it was measured.
type Setup struct {
	Runs      int     `json:"runs"`
	Seconds   float64 `json:"seconds"`
	WarmUp    float64 `json:"warm_up_seconds"`
	Frontends int     `json:"frontends"`
	Scale     float64 `json:"scale"`
	Churn     int     `json:"changes_per_s"`
	Rate      int     `json:"stalled_pushes_per_s"`
	Pool      int     `json:"redis_pool"`
}

func (b *bench) document(sync time.Duration) Document {
	o := b.options
	d := Document{
		Machine: report.ThisMachine(sync),
		Setup: Setup{
			Runs: o.Runs, Seconds: o.Duration.Seconds(), WarmUp: o.WarmUp.Seconds(), Frontends: o.Frontends, Scale: o.Scale,
			Churn: o.Churn, Rate: o.Rate, Pool: o.Pool,
		},
		Redis: b.redisVersion, Rows: []RowFigures{}, Stalls: append([]Stall{}, b.stalls...), Spreads: b.measures(), Notes: b.notes(),
	}
	for _, r := range b.rows {
		d.Rows = append(d.Rows, r.figures())
	}
	d.Measures = report.Medians(d.Spreads)
	return d
}

// notes say what the figures are of.
func (b *bench) notes() []string {
	o := b.options
	notes := []string{
		fmt.Sprintf("A pusher and %d frontends as processes on loopback without TLS, in memory; %d of the frontends vote, the pusher does not and never leads. All share the CPUs.", o.Frontends, min(voters, o.Frontends-1)),
		fmt.Sprintf("10x100 is a channel with 100 members on each of 10 frontends. uids of %d bytes, messages of %d. A push is done when all reports are in; handlers go through all uids; after each case what was delivered is checked against what was pushed.", uidBytes, msgBytes),
		"Closed loop: a caller goes through all channels, and waits for its answer before its next push; all but p50 and p99 is over all the time that they push, warm-up and the last answers included. Pushes of one channel are handled one at a time.",
		"CPU: user and system time of all processes, with Redis that of its server too. Allocated: by pusher and frontend together, in use or not, for one push at one frontend, beyond what is allocated without pushes. Wire: sent and received by the pusher over TCP, without headers of TCP and IP, beyond the message and what is sent without pushes. Strangers: what other processes took, in percent of one core.",
		fmt.Sprintf("large and churn: measures are of 8 or of 64 callers, whichever has more pushes in that run. Changing: %d times a second a member is added to all the channels that are pushed to, or removed, on one frontend after the other; for the node by a frontend.", o.Churn),
		fmt.Sprintf("stalled: %d pushes a second to channels without members on one frontend (9x100), times from when each was due, beside as many to channels that have some there, with a timeout of %v; from the moment on at which that frontend is suspended, and as long before. Memory: by how much the pusher's had grown at the end, objects in use, or resident in RAM.", o.Rate, besideTimeout),
	}
	if o.Redis == "" {
		notes = append(notes, "Without --redis: what is compared with it is not measured.")
	} else {
		notes = append(notes, fmt.Sprintf("redis: SMEMBERS for each frontend, all in one round trip (go-redis, %d connections), then a gRPC call to each frontend with all uids and the message.", o.Pool))
	}
	if o.Scale < 1 || o.Frontends != defaults().Frontends {
		notes = append(notes, fmt.Sprintf("SCALED by %g, %d frontends: the sizes in the names are not those that were measured.", o.Scale, o.Frontends))
	}
	return notes
}

// printTable is the document for people.
func printTable(w io.Writer, d Document) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d CPUs, %s, %s; %d runs of %g s, median [min..max]\n", d.Machine.CPUs, d.Machine.OS, d.Machine.Go, d.Setup.Runs, d.Setup.Seconds)
	if d.Redis != "" {
		fmt.Fprintf(&out, "Redis %s\n", d.Redis)
	}
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	if len(d.Rows) > 0 {
		fmt.Fprintf(t, "\nPUSHES\tby\tchannels\tcallers\tpushes/s\tp50 ms\tp99 ms\tCPU us/push\tallocated\twire\tstrangers\n")
	}
	for _, r := range d.Rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f %%%s\n", strings.TrimSpace(r.Shape+changing(r)), r.By, r.Channels, r.Callers,
			report.Ranged(r.PushesPerS, report.Short), report.Ranged(r.P50us, inMs), report.Ranged(r.P99us, inMs), report.Thousands(r.CPUus.Median),
			report.Ranged(r.Allocated, report.Thousands), onWire(r), r.Strangers.Median, remarks(r))
	}
	report.WriteMeasures(t, d.Spreads)
	if err := t.Flush(); err != nil {
		return err
	}
	report.WriteNotes(&out, d.Notes)
	_, err := io.WriteString(w, out.String())
	return err
}

func changing(r RowFigures) string {
	if r.ChangesPS == nil {
		return ""
	}
	return fmt.Sprintf(", changing %s/s", report.Short(r.ChangesPS.Median))
}

func onWire(r RowFigures) string {
	if r.Wire == nil {
		return "-"
	}
	return report.Ranged(*r.Wire, report.Thousands)
}

// remarks are what else there is to know of a row.
func remarks(r RowFigures) string {
	if r.Errors == 0 {
		return ""
	}
	return fmt.Sprintf("\t%d ERRORS: %s", r.Errors, r.Error)
}

// inMs: no push ended within the time if it is 0.
func inMs(us float64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", us/1e3)
}
