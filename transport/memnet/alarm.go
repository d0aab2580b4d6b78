package memnet

import (
	"sync"
	"time"
)

// alarm is one timer that is set again and again. Its owner's lock is held around set and stop; fire runs without
// it, possibly late and for an earlier setting, and has to look at the clock.
type alarm struct {
	fire  func()
	timer *time.Timer // nil until it is first needed
}

func (a *alarm) set(wait time.Duration) {
	if a.timer == nil {
		a.timer = time.AfterFunc(wait, a.fire)
		return
	}
	a.timer.Reset(wait)
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// deadline is a read or write deadline. Everything but newDeadline is called with wake.L held.
type deadline struct {
	wake  *sync.Cond // all who may be waiting for it
	at    time.Time  // zero: none
	alarm alarm
}

func newDeadline(wake *sync.Cond) *deadline {
	d := &deadline{wake: wake}
	d.alarm.fire = func() {
		wake.L.Lock()
		defer wake.L.Unlock()
		d.wakeOrWait()
	}
	return d
}

func (d *deadline) set(t time.Time) {
	d.at = t
	d.alarm.stop()
	d.wakeOrWait()
}

// wakeOrWait wakes the waiting to look at a deadline that has passed, and otherwise sees to it that it is called then.
func (d *deadline) wakeOrWait() {
	if d.at.IsZero() {
		return
	}
	if wait := time.Until(d.at); wait > 0 {
		d.alarm.set(wait)
		return
	}
	d.wake.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && time.Until(d.at) <= 0 }

// clear is for a socket that is closed: no timer is left behind.
func (d *deadline) clear() {
	d.at = time.Time{}
	d.alarm.stop()
}
