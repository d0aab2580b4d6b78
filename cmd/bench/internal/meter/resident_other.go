//go:build !linux

package meter

func resident() (uint64, error) { return 0, nil }
