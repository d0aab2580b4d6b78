package writes

import (
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Document is everything that was measured.
type Document struct {
	Machine  report.Machine          `json:"machine"`
	Setup    Setup                   `json:"setup"`
	Redis    *server.RedisInfo       `json:"redis,omitempty"`
	Rows     []RowFigures            `json:"rows"`
	Measures map[string]float64      `json:"measures"` // medians of the runs
	Spreads  map[string]stats.Spread `json:"spreads"`  // of the measures
	Notes    []string                `json:"notes"`
}

// Setup is how it was measured.
type Setup struct {
	Runs      int     `json:"runs"`
	Seconds   float64 `json:"seconds"`
	WarmUp    float64 `json:"warm_up_seconds"`
	Kills     int     `json:"kills"` // done
	Handovers int     `json:"handovers"`
	Lags      int     `json:"lag_samples"`
}

func (b *bench) document(sync time.Duration) Document {
	d := Document{
		Machine: report.ThisMachine(sync),
		Setup: Setup{
			Runs: b.options.Runs, Seconds: b.options.Duration.Seconds(), WarmUp: b.options.WarmUp.Seconds(),
			Kills: len(b.kills), Handovers: len(b.handovers.gaps), Lags: len(b.lag),
		},
		Redis: b.redisInfo, Rows: []RowFigures{}, Spreads: b.measures(), Notes: b.notes(),
	}
	for _, r := range b.rows {
		d.Rows = append(d.Rows, r.figures())
	}
	d.Measures = report.Medians(d.Spreads)
	return d
}

// notes say what the figures are of.
func (b *bench) notes() []string {
	notes := []string{
		"Three processes on loopback without TLS, on one disk; callers in the process of the leader or of a follower; all share the CPUs.",
		"Closed loop: a caller waits for its answer before its next call, so a stall counts once for each caller.",
		fmt.Sprintf("%s: single calls, adds of random players (mostly new members) to 1,000 channels and leaves of them, in equal parts; 10,000 members stand all the time, and every case begins with those alone. %s: groups of %d, half adds and half leaves, from %d callers.", callWrite, callApply, applySize, applyCallers),
		"CPU: user and system time of all three processes, callers included; with Redis, of the client and the server.",
		"fsync/s: appends to the three log stores, times 2 (boltdb) or 1 (wal), which is what strace shows for one append. Terms, votes and new segments are not in it.",
	}
	if b.options.Redis != "" {
		notes = append(notes, "Redis: go-redis, SADD and SREM, one connection for each outstanding call unless --redis-pool or maxclients allow less; one process, unreplicated.")
	}
	if b.options.Raft {
		notes = append(notes, "raft: bare hashicorp/raft, one 40-byte entry a call, state machine without a state, store and timeouts as in a node, else the library's defaults.")
	}
	if len(b.kills)+len(b.handovers.gaps) > 0 {
		notes = append(notes, fmt.Sprintf("Failover: from SIGKILL of the leader to the first acknowledgement, at any survivor, of a write begun after it was gone; each survivor begins one every 5 ms. Hand-over: the longest time without acknowledgement at either survivor while the leader closes. Log store %s.", b.options.Stores[0]))
	}
	if len(b.lag) > 0 {
		notes = append(notes, "Follower lag: idle cluster, from the leader's answer until a read in the follower's process shows the member; one clock, error below 0.1 ms on an idle machine.")
	}
	if meter.InMemory(b.space.Dir) {
		notes = append(notes, "NOT ON A DISK: "+b.space.Dir+" is in memory; give --dir.")
	}
	return notes
}
