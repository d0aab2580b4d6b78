//go:build unix

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestGuarded_SurvivesAFileThatEndsBeforeItsMap(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	must(t, f.Truncate(8192))
	mapped, err := syscall.Mmap(int(f.Fd()), 0, 8192, syscall.PROT_READ, syscall.MAP_SHARED)
	must(t, err)
	defer func() { must(t, syscall.Munmap(mapped)) }()
	must(t, f.Truncate(0))
	read := byte(0)
	if err := guarded(func() error { read = mapped[5000]; return nil }); !errors.Is(err, errLogDamaged) {
		t.Errorf("read %d, %v", read, err)
	}
}
