package meter

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Now reads CLOCK_MONOTONIC, which all processes of a machine share.
func Now() time.Duration {
	var t unix.Timespec
	// It fails only for a clock that the kernel does not know.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}

// CPU is the time that this process has spent, in its own code and in the kernel.
func CPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
