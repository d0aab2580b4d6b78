package writes

import (
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// measures are the figures that the project sets itself goals for, by name; those
// for which nothing was measured are absent. What is of the runs has a spread;
// what is a percentile of single events has none: its three figures are one.
func (b *bench) measures() map[string]stats.Spread {
	m := make(map[string]stats.Spread)
	ops := func(s Sample) float64 { return s.OpsPerS }
	p50 := func(s Sample) float64 { return s.P50us }
	ours := func(store, place string, n int) Case { return Case{"node", store, place, callWrite, n} }
	apply := func(store string) Case { return Case{"node", store, onLeader, callApply, applyCallers} }

	b.ratio(m, "single_p50_vs_raft", ours("boltdb", onLeader, 1), Case{"raft", "boltdb", onLeader, callEntry, 1}, p50)
	b.ratio(m, "single_wal_p50_vs_raft", ours("wal", onLeader, 1), Case{"raft", "wal", onLeader, callEntry, 1}, p50)
	b.plain(m, "out50_ops_per_s", ours("boltdb", onLeader, 50), ops)
	b.plain(m, "out50_wal_ops_per_s", ours("wal", onLeader, 50), ops)
	b.ratio(m, "out1000_vs_redis", ours("boltdb", onLeader, 1000), Case{"redis", "", "", callWrite, 1000}, ops)
	b.ratio(m, "follower_vs_leader", ours("boltdb", onFollower, 1000), ours("boltdb", onLeader, 1000), ops)
	b.plain(m, "apply512_ops_per_s", apply("boltdb"), ops)
	b.plain(m, "apply512_wal_ops_per_s", apply("wal"), ops)

	report.Quantiles(m, b.kills, map[string]float64{"failover_p50_ms": 0.5, "failover_p99_ms": 0.99, "failover_max_ms": 1})
	report.Quantiles(m, b.handovers.gaps, map[string]float64{"handover_p50_ms": 0.5, "handover_p99_ms": 0.99, "handover_max_ms": 1})
	report.Quantiles(m, b.lag, map[string]float64{"follower_lag_p50_ms": 0.5, "follower_lag_p99_ms": 0.99})
	if len(b.handovers.gaps) > 0 {
		m["handover_errors"] = stats.SpreadOf(float64(b.handovers.errors))
	}
	return m
}

func (b *bench) row(k Case) *Row {
	for _, r := range b.rows {
		if r.Case == k {
			return r
		}
	}
	return nil
}

func (b *bench) plain(m map[string]stats.Spread, name string, k Case, of func(Sample) float64) {
	if r := b.row(k); r != nil {
		m[name] = r.spread(of)
	}
}

func (b *bench) ratio(m map[string]stats.Spread, name string, over, under Case, of func(Sample) float64) {
	a, c := b.row(over), b.row(under)
	if a == nil || c == nil {
		return
	}
	if s, ok := stats.RatioOf(a.values(of), c.values(of)); ok {
		m[name] = s
	}
}
