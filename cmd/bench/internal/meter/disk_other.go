//go:build !linux

package meter

import "os"

func syncData(f *os.File) error { return f.Sync() }

// InMemory is not known here.
func InMemory(string) bool { return false }
