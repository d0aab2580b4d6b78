package fleetsize

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Document is everything that was measured.
type Document struct {
	Machine  report.Machine          `json:"machine"`
	Voters   int                     `json:"voters"`
	Replicas int                     `json:"replicas"`
	Idle     []Sample                `json:"idle"`
	Load     []Sample                `json:"load"`
	Measures map[string]float64      `json:"measures"` // medians
	Spreads  map[string]stats.Spread `json:"spreads"`  // of the measures
	Notes    []string                `json:"notes"`
}

func (b *bench) document(sync time.Duration) Document {
	d := Document{
		Machine: report.ThisMachine(sync), Voters: b.options.Voters, Replicas: b.options.Replicas,
		Idle: []Sample{}, Load: []Sample{}, Spreads: b.measures(), Notes: b.notes(),
	}
	d.Measures = report.Medians(d.Spreads)
	if b.idle != nil {
		d.Idle = append(d.Idle, b.idle.samples...)
	}
	if b.load != nil {
		d.Load = append(d.Load, b.load.samples...)
	}
	return d
}

// measures are the figures by name; those for which nothing was measured are
// absent. What is of samples or starts has a spread; a percentile of single events
// has none.
func (b *bench) measures() map[string]stats.Spread {
	m := make(map[string]stats.Spread)
	receivers := float64(b.options.Voters + b.options.Replicas - 1)
	b.idle.measures(m, "idle_")
	if b.idle.measured() {
		m["idle_bytes_per_replica_and_s"] = b.idle.spread(func(s Sample) float64 { return s.Replicated / receivers })
		m["idle_gossip_bytes_per_s"] = b.idle.spread(func(s Sample) float64 { return s.Gossip })
	}
	b.load.measures(m, "load_")
	if b.load.measured() {
		perWrite := func(bytes func(Sample) float64) stats.Spread {
			return b.load.spread(func(s Sample) float64 { return bytes(s) * s.Seconds / max(float64(s.Ops), 1) })
		}
		m["load_bytes_per_replica_and_write"] = perWrite(func(s Sample) float64 { return s.Replicated / receivers })
		m["load_answer_bytes_per_write"] = perWrite(func(s Sample) float64 { return s.Answered })
		m["load_writes_per_s"] = b.load.spread(func(s Sample) float64 { return float64(s.Ops) / s.Result.Seconds })
		m["load_p50_ms"] = b.load.spread(func(s Sample) float64 { return s.P50us / 1e3 })
		m["load_p99_ms"] = b.load.spread(func(s Sample) float64 { return s.P99us / 1e3 })
		m["load_errors"] = stats.SpreadOf(b.load.errors())
	}
	report.Quantiles(m, b.idleLag, map[string]float64{"idle_lag_p50_ms": 0.5, "idle_lag_p99_ms": 0.99})
	report.Quantiles(m, b.loadLag, map[string]float64{"load_lag_p50_ms": 0.5, "load_lag_p99_ms": 0.99})
	b.empty.measures(m, "start_empty_")
	b.stocked.measures(m, "start_stocked_")
	report.Quantiles(m, b.kills, map[string]float64{"failover_p50_ms": 0.5, "failover_p99_ms": 0.99, "failover_max_ms": 1})
	return m
}

func (p *phase) measured() bool { return p != nil && len(p.samples) > 0 }

func (p *phase) measures(m map[string]stats.Spread, prefix string) {
	if !p.measured() {
		return
	}
	m[prefix+"leader_cpu_percent"] = p.spread(func(s Sample) float64 { return s.LeaderCPU })
	m[prefix+"others_cpu_percent"] = p.spread(func(s Sample) float64 { return s.OthersCPU })
	m[prefix+"stranger_cpu_percent"] = p.spread(func(s Sample) float64 { return s.StrangerCPU })
	m[prefix+"elections"] = stats.SpreadOf(float64(p.elections))
}

func (p *phase) spread(of func(Sample) float64) stats.Spread {
	var values []float64
	for _, s := range p.samples {
		values = append(values, of(s))
	}
	return stats.SpreadOf(values...)
}

func (p *phase) errors() float64 {
	var sum uint64
	for _, s := range p.samples {
		sum += s.Errors
	}
	return float64(sum)
}

func (a arrivals) measures(m map[string]stats.Spread, prefix string) {
	if len(a.read) == 0 {
		return
	}
	m[prefix+"read_ms"] = stats.SpreadOf(a.read...)
	m[prefix+"ready_ms"] = stats.SpreadOf(a.ready...)
	m[prefix+"received_bytes"] = stats.SpreadOf(a.received...)
}

// notes say what the figures are of.
func (b *bench) notes() []string {
	o := b.options
	var notes []string
	if b.idle.measured() || b.load.measured() || len(b.empty.read) > 0 {
		notes = append(notes, fmt.Sprintf("%d voters and %d replicas on loopback without TLS: the leader in a process of its own, all others in a second.", o.Voters, o.Replicas))
		if !o.Disk {
			notes = append(notes, "All in memory, the voters too.")
		}
	}
	if b.idle.measured() || b.load.measured() {
		notes = append(notes,
			"Median [min..max] of samples of a minute, or of a fifth of a shorter time.",
			"CPU: user and system time, in percent of one core; strangers are all processes that do not belong to the fleet.",
			"Bytes per replica: what the leader writes to connections that it dialled (Raft's, and its questions to others), without headers of TCP and IP. Answers: to connections that it accepted, mostly of writes that were forwarded to it.",
			"Elections: by how much the leader's term grew.")
	}
	if b.load.measured() {
		notes = append(notes, fmt.Sprintf("Load: %d writes a second, adds and leaves in equal parts, one call each, from all servers but the leader; times from when each was due; at most %d outstanding.", o.Rate, o.Callers))
	}
	if len(b.empty.read) > 0 {
		notes = append(notes, fmt.Sprintf("New servers: from Start, in a process that runs already, to the answer of its first linearizable read; %d without any channel in the cluster and %d with %s members in %d channels, transfer included.", o.Starts, o.Starts, report.Thousands(float64(o.Members)), 1000))
	}
	if len(b.kills) > 0 {
		notes = append(notes, fmt.Sprintf("Failover: %d voters as processes with data directories (%s), %d replicas in one more process; from SIGKILL of the leader to the first acknowledgement, at any voter left, of a write begun after it was gone; each begins one every 5 ms.", o.Voters, failoverStore, o.FailoverReplicas))
	}
	if (o.Disk || len(b.kills) > 0) && meter.InMemory(b.space.Dir) {
		notes = append(notes, "NOT ON A DISK: "+b.space.Dir+" is in memory; give --dir.")
	}
	return notes
}

// printTable is the document for people.
func printTable(w io.Writer, d Document) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d CPUs, %s, %s, 4 KiB append and fdatasync %.2f ms\n", d.Machine.CPUs, d.Machine.OS, d.Machine.Go, d.Machine.SyncMs)
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	report.WriteMeasures(t, d.Spreads)
	if err := t.Flush(); err != nil {
		return err
	}
	report.WriteNotes(&out, d.Notes)
	_, err := io.WriteString(w, out.String())
	return err
}
