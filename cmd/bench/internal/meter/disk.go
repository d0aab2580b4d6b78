package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

const (
	probeWrites = 200
	probeBytes  = 4096
)

// SyncTime is the median time of appending 4 KiB to a file in dir and syncing it.
func SyncTime(dir string) (median time.Duration, err error) {
	path := filepath.Join(dir, "probe")
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("probe disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	var h stats.Histogram
	block := make([]byte, probeBytes)
	for range probeWrites {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, fmt.Errorf("probe disk: %w", err)
		}
		if err := syncData(f); err != nil {
			return 0, fmt.Errorf("probe disk: %w", err)
		}
		h.Record(0, time.Since(began))
	}
	return h.Quantile(0.5), nil
}
