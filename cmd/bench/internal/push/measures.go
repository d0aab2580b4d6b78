package push

import (
	"maps"
	"slices"

	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// measures are the figures that the project sets itself goals for, and some beside
// them, by name; those for which nothing was measured are absent.
func (b *bench) measures() map[string]stats.Spread {
	m := measures{}
	eight := b.values(latencyCases, 0, 1)
	many, shared := b.values(rateCases, 0, 1), b.values(rateCases, 1, 2)
	m.ratio("latency_10x100_vs_redis", eight, p50us)
	m.ratio("latency_10x100_p99_vs_redis", eight, p99us)
	m.plain("latency_10x100_p50_ms", eight, func(s Sample) float64 { return s.P50us / 1e3 })
	m.plain("latency_10x100_p99_ms", eight, func(s Sample) float64 { return s.P99us / 1e3 })
	m.plain("alloc_bytes_per_frontend", eight, allocated)
	m.plain("alloc_bytes_per_frontend_64", many, allocated)
	for name, w := range map[string]both{
		"rate_10x100": many, "rate_10x100_shared": shared,
		"rate_10x10000": b.values(largeCases, 0, 2), "rate_10x10000_churn": b.values(churnCases, 0, 2),
	} {
		m.ratio(name+"_vs_redis", w, pushesPerS)
		m.plain(name+"_per_s", w, pushesPerS)
	}
	m.plain("churn_changes_per_s", b.values(churnCases, 0, 2), changesPS)
	one, crowd := b.values(wireCases, 0, 1), b.values(wireCases, 1, 2)
	m.plain("wire_bytes_per_frontend_100k", one, wire)
	m.plain("wire_bytes_per_frontend_100k_64", crowd, wire)
	m.add("wire_bytes_per_frontend_100k_redis", slices.Collect(maps.Values(one.redis(wire))))
	b.ofStalls(m)
	return m
}

func (b *bench) ofStalls(m measures) {
	for name, of := range map[string]func(Stall) float64{
		"stalled_p99_ratio":   func(s Stall) float64 { return s.Stalled.P99us / s.Calm.P99us },
		"stalled_p99_ms":      func(s Stall) float64 { return s.Stalled.P99us / 1e3 },
		"stalled_calm_p99_ms": func(s Stall) float64 { return s.Calm.P99us / 1e3 },
		"stalled_errors":      func(s Stall) float64 { return float64(s.Calm.Errors + s.Stalled.Errors) },
		"stalled_memory_mb":   func(s Stall) float64 { return s.Objects },
		"stalled_resident_mb": func(s Stall) float64 { return s.Resident },
		"stalled_recovery_s":  func(s Stall) float64 { return s.Recovery },
	} {
		var values []float64
		for _, s := range b.stalls {
			values = append(values, of(s))
		}
		m.add(name, values)
	}
}

type measures map[string]stats.Spread

// both are the rows of both ways in the same cases.
type both struct{ ours, theirs []*Row }

// values are those of the cases of a part from one on, up to another.
func (b *bench) values(cases func(by string) []Case, from, to int) both {
	rows := func(by string) (rows []*Row) {
		for _, k := range cases(by)[from:to] {
			for _, r := range b.rows {
				if r.Case == k {
					rows = append(rows, r)
				}
			}
		}
		return rows
	}
	return both{rows(server.ByNode), rows(server.ByAncestor)}
}

func (w both) node(of func(Sample) float64) map[int]float64  { return best(w.ours, of) }
func (w both) redis(of func(Sample) float64) map[int]float64 { return best(w.theirs, of) }

// best takes, in each run, the row with the most pushes a second.
func best(rows []*Row, of func(Sample) float64) map[int]float64 {
	values, most := make(map[int]float64), make(map[int]float64)
	for _, r := range rows {
		for run, s := range r.samples {
			if s.PushesPerS >= most[run] {
				values[run], most[run] = of(s), s.PushesPerS
			}
		}
	}
	return values
}

func (m measures) plain(name string, w both, of func(Sample) float64) {
	m.add(name, slices.Collect(maps.Values(w.node(of))))
}

func (m measures) ratio(name string, w both, of func(Sample) float64) {
	if s, ok := stats.RatioOf(w.node(of), w.redis(of)); ok {
		m[name] = s
	}
}

func (m measures) add(name string, values []float64) {
	if len(values) > 0 {
		m[name] = stats.SpreadOf(values...)
	}
}
