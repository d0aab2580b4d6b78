package load

import "time"

const (
	paceEvery = time.Millisecond // steps are due in bunches, as a timer allows
	overdue   = 1 << 16          // steps that are due and not begun, at most
)

// StartPaced begins with rate steps a second, whatever the ones before take, and
// measures from when each was due: whoever has to wait for a free caller, waits
// too. Where all callers are busy for so long that no more can be kept, the rate is
// not reached, as Result tells.
func StartPaced(rate, callers int, step func(caller int) Step) *Run {
	due := make(chan time.Time, overdue)
	r := newRun(callers, func() time.Time { return <-due })
	r.callers.Go(func() {
		defer close(due)
		r.pace(rate, due)
	})
	r.run(callers, step)
	return r
}

// pace makes steps due until the run has ended.
func (r *Run) pace(rate int, due chan<- time.Time) {
	every := time.NewTicker(paceEvery)
	defer every.Stop()
	began := time.Now()
	for begun := 0; !r.ended.Load(); <-every.C {
		for now := time.Now(); ; begun++ {
			at := began.Add(time.Duration(begun) * time.Second / time.Duration(rate))
			if at.After(now) {
				break
			}
			select {
			case due <- at:
			default: // full: this one is left out
			}
		}
	}
}
