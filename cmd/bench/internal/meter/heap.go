package meter

import "runtime"

// Memory is what this process has taken of it, in bytes.
type Memory struct {
	Allocated uint64 `json:"allocated"` // for all objects since it started, whether they are in use or not
	Objects   uint64 `json:"objects"`   // for those in use, and those not yet collected
	Resident  uint64 `json:"resident"`  // of the process, in RAM; 0: not known here
}

// ReadMemory stops the process for some 10 us.
func ReadMemory() (Memory, error) {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	r, err := resident()
	return Memory{Allocated: s.TotalAlloc, Objects: s.HeapAlloc, Resident: r}, err
}
