//go:build linux || darwin

package disk

import (
	"fmt"
	"syscall"
)

// space asks the file system of dir. It takes as long as a hung one lets it.
func space(dir string) (Space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", dir, err)
	}
	size := uint64(s.Bsize) // int64 here, uint32 there
	return Space{Free: s.Bavail * size, Total: s.Blocks * size}, nil
}
