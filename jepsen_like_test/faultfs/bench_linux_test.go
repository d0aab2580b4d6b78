package faultfs

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A write of a small entry and its fdatasync, as a log does them.
func BenchmarkAppendAndSync(b *testing.B) {
	if err := Able(); err != nil {
		b.Skipf("skipped: %v", err)
	}
	dir := b.TempDir()
	f, err := Mount(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Open(filepath.Join(dir, "log"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer syscall.Close(fd)
	entry := make([]byte, 300)
	for i := int64(0); b.Loop(); i++ {
		if _, err := syscall.Pwrite(fd, entry, i*300); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(fd); err != nil {
			b.Fatal(err)
		}
	}
}
