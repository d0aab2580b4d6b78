package disk

import "time"

// Stall makes parts of the disk hold every call that begins from now on, until resume
// or PowerOff. Nothing of it is there before; all else works. ok is false if the
// disk was never opened, or one of them is stalled already.
func (m *Memory) Stall(which ...Part) (resume func(), ok bool) {
	f := m.faults()
	if f == nil {
		return nil, false
	}
	return f.stall(which)
}

// Fail makes every call to parts of the disk fail with err, until Fail with nil. ok is
// false if the disk was never opened.
func (m *Memory) Fail(err error, which ...Part) (ok bool) {
	f := m.faults()
	if f != nil {
		f.fail(which, err)
	}
	return f != nil
}

// Fill leaves so many bytes on the disk; with 0 nothing can be written. Empty ends
// that. ok is false if the disk was never opened.
func (m *Memory) Fill(free uint64) (ok bool) {
	f := m.faults()
	if f != nil {
		f.fill(free, true)
	}
	return f != nil
}

// Empty makes room for everything.
func (m *Memory) Empty() {
	if f := m.faults(); f != nil {
		f.fill(0, false)
	}
}

// Slow makes every write that begins from now on take that long, until Slow with 0; of a
// snapshot only its end does, where a file is synced. (The identity is not slow: who waits
// for its lock would stop the time of a bubble.) ok is false if the disk was never opened.
func (m *Memory) Slow(sync time.Duration) (ok bool) {
	f := m.faults()
	if f != nil {
		f.slow(sync)
	}
	return f != nil
}

// faults are those of now; nil if the disk was never opened.
func (m *Memory) faults() *faults {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log == nil {
		return nil
	}
	return m.log.faults
}
