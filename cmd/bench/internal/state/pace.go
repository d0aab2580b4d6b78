package state

import (
	"runtime"
	"time"
)

const pacedEvery = 1 // ms between entries of what is paced

// stops are the longest waits of a paced load.
type stops struct {
	late time.Duration // from when an entry was due until it was applied
	call time.Duration // one call of the state machine, what was asked of its goroutine included
	ops  int
	took time.Duration
}

func (s stops) perSecond() float64 { return float64(s.ops) / s.took.Seconds() }

// pacer is the goroutine that applies: entries at a steady rate, whatever the ones
// before took, and between them what others ask of it, as Raft has it.
type pacer struct {
	w     *world
	asked chan func()
	end   chan struct{}
	done  chan struct{} // closed when it has returned, with these:
	stops stops
	err   error
}

// pace starts a pacer. Stop it.
func (w *world) pace(rate int) *pacer {
	p := &pacer{w: w, asked: make(chan func()), end: make(chan struct{}), done: make(chan struct{})}
	go p.run(rate * pacedEvery / 1000)
	return p
}

// ask has f run between two entries, and waits for it.
func (p *pacer) ask(f func()) {
	ran := make(chan struct{})
	select {
	case p.asked <- func() { f(); close(ran) }:
		<-ran
	case <-p.done: // it failed, as stop tells
	}
}

func (p *pacer) stop() (stops, error) {
	close(p.end)
	<-p.done
	return p.stops, p.err
}

func (p *pacer) run(ops int) {
	defer close(p.done)
	began := time.Now()
	defer func() { p.stops.took = time.Since(began) }()
	var entry []byte
	for due := began; ; due = due.Add(pacedEvery * time.Millisecond) {
		entry = p.w.steady(entry[:0], ops) // before it is due
		pollUntil(due)
		select {
		case f := <-p.asked:
			p.timed(f)
		default:
		}
		p.timed(func() { _, p.err = effect(p.w.apply(entry)) })
		if p.err != nil {
			return
		}
		p.stops.late = max(p.stops.late, time.Since(due))
		p.stops.ops += ops
		select {
		case <-p.end: // after the entry: its batches are numbered
			return
		default:
		}
	}
}

// pollUntil doesn't sleep: who sleeps is woken when the kernel comes to it, after some ms
// where a thread that computes is only interrupted at ticks. That is no stop of the state
// machine, and would hide those that are.
func pollUntil(due time.Time) {
	for time.Now().Before(due) {
		runtime.Gosched()
	}
}

func (p *pacer) timed(f func()) {
	began := time.Now()
	f()
	p.stops.call = max(p.stops.call, time.Since(began))
}

// wait lets time pass, unless the pacer fails.
func (p *pacer) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.done:
	}
}
