package meter

import (
	"fmt"
	"os"
)

func resident() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("read resident memory: %w", err)
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0, fmt.Errorf("read resident memory of %q: %w", text, err)
	}
	return pages * uint64(os.Getpagesize()), nil
}
