package fleet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
)

// Workspace is a temporary directory with everything that the children write.
type Workspace struct {
	Dir string

	group *proc.Group
	next  atomic.Uint64 // number of the next directory
}

// NewWorkspace makes one in the directory parent; "": the system's for temporary
// files.
func NewWorkspace(parent string) (*Workspace, error) {
	dir, err := os.MkdirTemp(parent, "globalchannel-bench-")
	if err != nil {
		return nil, fmt.Errorf("make workspace: %w", err)
	}
	group, err := proc.NewGroup(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Workspace{Dir: dir, group: group}, nil
}

// Close ends all children and removes the directory.
func (w *Workspace) Close() error {
	w.group.Close()
	if err := os.RemoveAll(w.Dir); err != nil {
		return fmt.Errorf("remove workspace: %w", err)
	}
	return nil
}

// Process starts a child that belongs to no cluster.
func (w *Workspace) Process(name string) (*proc.Process, error) { return w.group.Start(name) }

func (w *Workspace) dataDir(name string) (string, error) {
	dir := filepath.Join(w.Dir, strconv.FormatUint(w.next.Add(1), 10)+"-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make data directory: %w", err)
	}
	return dir, nil
}
