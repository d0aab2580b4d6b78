//go:build unix

package cluster

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSeeds_FileThatIsAPipeHoldsUpNobody(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	f := newFinder(Options{Seeds: []string{"file:" + pipe, "file:" + dir, "10.0.0.2:7400"}})
	wantFound(t, f, "10.0.0.2:7400")
	if p := f.problem(); strings.Count(p, "regular file") != 2 {
		t.Errorf("problem %q", p)
	}
}
