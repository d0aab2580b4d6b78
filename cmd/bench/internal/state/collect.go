package state

import (
	"context"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// gc measures the garbage collector with a large state: under paced writes, each run
// with a forced collection at its end, and under writes at full speed, which make it
// run by itself.
func (b *bench) gc(ctx context.Context) error {
	w, err := b.build(ctx, small10, 0, 0)
	if err != nil {
		return err
	}
	paced := func() (d collected, err error) {
		p := w.pace(b.options.Rate)
		before := collections()
		p.wait(b.options.Duration)
		d = collections().since(before) // its collection may be the only one for minutes, and writes go on
		_, err = p.stop()
		return d, err
	}
	fullSpeed := func() (d collected, err error) {
		var entry []byte
		before := collections()
		for began := time.Now(); time.Since(began) < b.options.Duration; {
			entry = w.steady(entry[:0], entryOps)
			if _, err := effect(w.apply(entry)); err != nil {
				return d, err
			}
		}
		return collections().since(before), nil
	}
	for range b.options.Runs {
		for _, load := range []struct {
			prefix string
			run    func() (collected, error)
		}{{"gc_", paced}, {"gc_full_speed_", fullSpeed}} {
			if err := ctx.Err(); err != nil {
				return err
			}
			d, err := load.run()
			if err != nil {
				return err
			}
			b.add(load.prefix+"longest_stop_ms_10m", d.longest*1e3)
			b.add(load.prefix+"cpu_share_10m", d.gcCPU/d.allCPU)
			b.add(load.prefix+"cycles_10m", d.cycles)
		}
	}
	return nil
}

// collected is what the runtime tells of its collector.
type collected struct {
	pauses  *metrics.Float64Histogram
	longest float64 // s, of the difference of two
	gcCPU   float64 // s
	allCPU  float64 // s: GOMAXPROCS times the time that passed, idle included
	cycles  float64
}

// collections reads the figures, which the runtime brings up to date at the end of a
// collection only: so there is one before.
func collections() collected {
	runtime.GC()
	samples := []metrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	return collected{
		pauses: samples[0].Value.Float64Histogram(),
		gcCPU:  samples[1].Value.Float64(), allCPU: samples[2].Value.Float64(), cycles: float64(samples[3].Value.Uint64()),
	}
}

func (c collected) since(before collected) collected {
	d := collected{pauses: c.pauses, gcCPU: c.gcCPU - before.gcCPU, allCPU: c.allCPU - before.allCPU, cycles: c.cycles - before.cycles}
	for i, n := range c.pauses.Counts {
		if n > before.pauses.Counts[i] {
			d.longest = upperEnd(c.pauses.Buckets, i)
		}
	}
	return d
}

// upperEnd is that of a bucket; the last one has none, and gives its lower one.
func upperEnd(buckets []float64, i int) float64 {
	if math.IsInf(buckets[i+1], 1) {
		return buckets[i]
	}
	return buckets[i+1]
}

const peakEvery = 5 * time.Millisecond

// peak watches the highest value of a figure.
type peak struct {
	of        func() float64
	end, done chan struct{}
	bytes     float64
}

// watchPeak starts watching. Stop it.
func watchPeak(of func() float64) *peak {
	p := &peak{of: of, end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		every := time.NewTicker(peakEvery)
		defer every.Stop()
		for {
			p.bytes = max(p.bytes, of())
			select {
			case <-every.C:
			case <-p.end:
				return
			}
		}
	}()
	return p
}

// stop returns the highest value.
func (p *peak) stop() float64 {
	close(p.end)
	<-p.done
	return max(p.bytes, p.of())
}

// objects is the memory of objects, garbage included.
func objects() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}

// live is the memory of objects that a collection finds in use.
func live() float64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}
