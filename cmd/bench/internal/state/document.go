package state

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
	Setup    Setup                   `json:"setup"`
	Redis    string                  `json:"redis_version,omitempty"`
	Parts    []Part                  `json:"parts"`
	Measures map[string]float64      `json:"measures"` // medians of the runs
	Spreads  map[string]stats.Spread `json:"spreads"`  // of the measures
	Notes    []string                `json:"notes"`
}

// Setup is how it was measured.
type Setup struct {
	Runs    int     `json:"runs"`
	Scale   float64 `json:"scale"`
	Seconds float64 `json:"seconds"`
	Rate    int     `json:"writes_per_s"`
}

func (b *bench) document(sync time.Duration) Document {
	o := b.options
	d := Document{
		Machine: report.ThisMachine(sync), Setup: Setup{Runs: o.Runs, Scale: o.Scale, Seconds: o.Duration.Seconds(), Rate: o.Rate},
		Parts: append([]Part{}, b.parts...), Spreads: make(map[string]stats.Spread), Notes: b.notes(),
	}
	if b.sets != nil {
		d.Redis = b.sets.version
	}
	for name, values := range b.samples {
		d.Spreads[name] = stats.SpreadOf(values...)
	}
	d.Measures = report.Medians(d.Spreads)
	return d
}

// notes say what the figures are of.
func (b *bench) notes() []string {
	notes := []string{"One process, nothing over a network but Redis. States grow by applying entries of about 1,000 single operations, their memberships in random order. Figures of memory are after two collections."}
	if b.options.Scale < 1 {
		notes = append(notes, fmt.Sprintf("SCALED by %g: the sizes in the names are not those that were measured.", b.options.Scale))
	}
	if b.sets == nil {
		notes = append(notes, "Without --redis: what is compared with it is not measured.")
	} else {
		notes = append(notes, fmt.Sprintf("Redis: one set for each channel and server, named guild:000000:connector-00; growth of used_memory; SMEMBERS by go-redis over loopback, %d connections.", callers))
	}
	notes = append(notes, "Load from memory: each depends on the one before and misses the caches (64 MiB), just before the part. It tells how fast the machine was: times of operations are mostly made of such loads.")
	for _, p := range b.parts {
		notes = append(notes, partNotes(p.Name, b.options)...)
	}
	if meter.InMemory(b.dir) {
		notes = append(notes, "NOT ON A DISK: "+b.dir+" is in memory; give --dir.")
	}
	return notes
}

// partNotes are those of a part that was measured.
func partNotes(part string, o Options) []string {
	switch part {
	case "heap":
		notes := []string{"heap_bytes: HeapAlloc per membership, reverse index included (inuse: HeapInuse); uids of 13 bytes if the name says nothing."}
		for _, s := range heapShapes() {
			notes = append(notes, fmt.Sprintf("%s: %s channels x %d servers x %s members, %s players%s.", s.Name, report.Thousands(float64(s.Channels)), s.cells(),
				report.Thousands(float64(s.PerCell)), report.Thousands(float64(s.Players)), s.remarks()))
		}
		return notes
	case "apply":
		return []string{"apply_ns: one operation of Replica.Apply, decoding included, one goroutine: leaves of random members and adds of random players in turn; 10m: 100,000 channels x 10 x 10, 2,000,000 players. heap_bytes of both sizes are of one build."}
	case "members":
		return []string{fmt.Sprintf("members100: node.MembersBySID of 100 members on a node that is alone, %d callers, 10,000 such sets; iter: all of node.Members of the same channels. state_ns: one caller, the state machine alone, MembersBySID of 100 and Members of a channel with 10 members on each of 10 servers.", callers)}
	case "questions":
		return []string{"contains and count: State.Contains of a player who is in the channel and of a random one in turn, and State.Count, one caller, a View for each; 1,000,000 and 10,000,000 memberships. allocs: objects."}
	case "readers":
		return []string{"readers_share and apply_share: speed while one reader (MembersBySID of 100) and the applier both go at full speed, divided by the speed alone; 1,000,000 memberships. Apart: the reader has a state of its own, so the rest is what the machine takes."}
	case "snapshot":
		return []string{
			fmt.Sprintf("snapshot: at 10,000,000 memberships and %s writes a second, an entry every ms, into Raft's file store. stop and late: the longest time from when an entry was due until it was applied; call: the longest call of Apply or Snapshot; quiet: without a snapshot; counting: without one, beside a goroutine that only counts and yields every %v, so the machine's own.", report.Thousands(float64(o.Rate)), countFor),
			"snapshot_extra_memory_share: the most memory of objects in use beyond that before, as a share of the state's, in a snapshot of its own during which collections go on all the time. _garbage_share: the same of the measured one, garbage included, and of a time of the same writes without one.",
		}
	case "restore":
		return []string{"restore: Replica.Restore from Raft's file store into an empty replica; the file is mostly in the page cache."}
	case "destroy":
		return []string{fmt.Sprintf("destroy: one channel of 5,000,000 members on 10 servers; stop: the longest Apply of the destroying entry (call) and the %s entries of %d operations in other channels that follow; quiet: of as many before it.", report.Thousands(destroyEntries), destroyOps)}
	case "gc":
		return []string{fmt.Sprintf("gc: at 10,000,000 memberships; %s writes a second, or full speed (entries written by the same goroutine), each run with one forced collection at its end, beside those that come by themselves. longest_stop: of /sched/pauses/total/gc:seconds, upper end of the bucket; cpu_share: /cpu/classes/gc/total of /cpu/classes/total, idle time in both.", report.Thousands(float64(o.Rate)))}
	}
	return nil
}

func (s Shape) remarks() string {
	var text string
	if s.Sticky {
		text += ", each on one server"
	}
	if s.Cells > 0 {
		text += fmt.Sprintf(" of %d", s.SIDs)
	}
	if s.Sessions {
		text += ", all memberships with a session"
	}
	return text
}

// printTable is the document for people.
func printTable(w io.Writer, d Document) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d CPUs, %s, %s, 4 KiB append and fdatasync %.2f ms; %d runs, median [min..max]\n",
		d.Machine.CPUs, d.Machine.OS, d.Machine.Go, d.Machine.SyncMs, d.Setup.Runs)
	if d.Redis != "" {
		fmt.Fprintf(&out, "Redis %s\n", d.Redis)
	}
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nPART\tseconds\tother processes, %% of a core\tload from memory, ns\n")
	for _, p := range d.Parts {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\n", p.Name, p.Seconds, p.StrangerCPU, p.LoadNs)
	}
	report.WriteMeasures(t, d.Spreads)
	if err := t.Flush(); err != nil {
		return err
	}
	report.WriteNotes(&out, d.Notes)
	_, err := io.WriteString(w, out.String())
	return err
}
