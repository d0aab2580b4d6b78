package demo

import (
	"path/filepath"
	"syscall"
	"testing"
)

// neverOpens is a path on which opening blocks: a child given it as its secret
// stays where it is.
func neverOpens(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
