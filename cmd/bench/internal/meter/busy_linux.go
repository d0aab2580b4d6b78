package meter

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// userHZ is what /proc counts in: 100 on every architecture that Go knows.
const userHZ = 100

// Busy is the time that all CPUs of this machine together have spent working since
// it started, for whomever: it tells what else went on during a measurement.
func Busy() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	var user, nice, system, idle, iowait, irq, softirq, steal uint64
	if _, err := fmt.Sscanf(string(line), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, fmt.Errorf("read CPU time of %q: %w", line, err)
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * time.Second / userHZ, nil
}
