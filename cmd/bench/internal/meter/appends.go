package meter

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/armon/go-metrics"
)

// Appends counts the calls to a log store in this process. Neither kernel nor
// store tells how often it synced, but Raft times each StoreLogs, whatever the
// store, and gives that to its metrics.
type Appends struct {
	metrics.BlackholeSink
	n atomic.Uint64
}

// CountAppends makes a new counter the sink of this process's metrics, which are
// global: once per process.
func CountAppends() (*Appends, error) {
	a := &Appends{}
	conf := &metrics.Config{TimerGranularity: time.Millisecond, FilterDefault: true}
	if _, err := metrics.NewGlobal(conf, a); err != nil {
		return nil, fmt.Errorf("count appends: %w", err)
	}
	return a, nil
}

// Count is how many StoreLogs there were: the leader's and, as follower, those for
// its AppendEntries.
func (a *Appends) Count() uint64 { return a.n.Load() }

// AddSampleWithLabels implements metrics.MetricSink.
func (a *Appends) AddSampleWithLabels(key []string, _ float32, _ []metrics.Label) {
	if len(key) < 3 || key[0] != "raft" {
		return
	}
	if key[2] == "dispatchLog" || (len(key) == 4 && key[3] == "storeLogs") {
		a.n.Add(1)
	}
}

// AddSample implements metrics.MetricSink.
func (a *Appends) AddSample(key []string, val float32) { a.AddSampleWithLabels(key, val, nil) }

// SyncsPerAppend is how often a store syncs for one StoreLogs, as strace shows:
// bbolt its pages and then its meta page, raft-wal the segment. Segments that are
// rotated, terms and votes come on top and are too few to matter.
func SyncsPerAppend(store string) float64 {
	if store == "wal" {
		return 1
	}
	return 2
}
