package disk

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// BenchmarkStore_StoreLogs compares the kinds on the disk of the temporary
// directory. They take turns, so that both see the same noise of the disk; an
// operation is one StoreLogs of each.
func BenchmarkStore_StoreLogs(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(fmt.Sprintf("1x%dB", size), func(b *testing.B) {
			data := bytes.Repeat([]byte("y"), size)
			logs, took := make(map[LogStore]raft.LogStore), make(map[LogStore][]time.Duration)
			for _, kind := range kinds {
				s, err := Open(b.Context(), filepath.Join(b.TempDir(), "data"), "c1", kind, hclog.NewNullLogger())
				if err != nil {
					b.Fatal(err)
				}
				defer func() {
					if err := s.Close(); err != nil {
						b.Error(err)
					}
				}()
				logs[kind] = s.Log
			}
			for index := uint64(1); b.Loop(); index++ {
				for _, kind := range kinds {
					begin := time.Now()
					if err := logs[kind].StoreLog(&raft.Log{Index: index, Term: 1, Data: data}); err != nil {
						b.Fatal(err)
					}
					took[kind] = append(took[kind], time.Since(begin))
				}
			}
			p50 := make(map[LogStore]float64)
			for _, kind := range kinds {
				slices.Sort(took[kind])
				p50[kind] = float64(took[kind][len(took[kind])/2].Microseconds())
				b.ReportMetric(p50[kind], string(kind)+"-p50-us")
				b.ReportMetric(float64(took[kind][len(took[kind])*99/100].Microseconds()), string(kind)+"-p99-us")
			}
			b.ReportMetric(p50[BoltDB]/p50[WAL], "boltdb/wal")
		})
	}
}
