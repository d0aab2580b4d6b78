package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// SnapshotsOften tells whether the servers take snapshots all the time, see Options.
func (c *Cluster) SnapshotsOften() bool { return c.often }

// Snapshot is the index of the newest one in a server's data directory; 0: there is none.
func (c *Cluster) Snapshot(sid string) (index uint64, err error) {
	entries, err := os.ReadDir(filepath.Join(c.Server(sid).Dir, "snapshots"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("snapshots of %s: %w", sid, err)
	}
	for _, e := range entries {
		parts := strings.Split(e.Name(), "-") // term, index, time
		if len(parts) != 3 || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if n, err := strconv.ParseUint(parts[1], 10, 64); err == nil {
			index = max(index, n)
		}
	}
	return index, nil
}
