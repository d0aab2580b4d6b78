//go:build !linux

package meter

import "time"

// Busy is not known here.
func Busy() (time.Duration, error) { return 0, nil }
