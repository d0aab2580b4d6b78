package state

import (
	"context"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
)

// gc measures the garbage collector with a large state: under paced writes, each run
// with a collection at its end, and under writes at full speed, which make it run
// whenever it would.
func (b *bench) gc(ctx context.Context) error {
	w, err := b.build(ctx, small10, 0, 0)
	if err != nil {
		return err
	}
	paced := func() error {
		p := w.pace(b.options.Rate)
		p.wait(b.options.Duration)
		runtime.GC() // else there may be none for minutes
		_, err := p.stop()
		return err
	}
	fullSpeed := func() error {
		var entry []byte
		for began := time.Now(); time.Since(began) < b.options.Duration; {
			entry = w.steady(entry[:0], entryOps)
			if _, err := effect(w.apply(entry)); err != nil {
				return err
			}
		}
		return nil
	}
	for range b.options.Runs {
		for _, load := range []struct {
			prefix string
			run    func() error
		}{{"gc_", paced}, {"gc_full_speed_", fullSpeed}} {
			if err := ctx.Err(); err != nil {
				return err
			}
			before := collections()
			if err := load.run(); err != nil {
				return err
			}
			d := collections().since(before)
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

// peak watches the memory of objects, garbage included.
type peak struct {
	end, done chan struct{}
	bytes     float64
}

// watchPeak starts watching. Stop it.
func watchPeak() *peak {
	p := &peak{end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		every := time.NewTicker(peakEvery)
		defer every.Stop()
		for {
			p.bytes = max(p.bytes, objects())
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
	return max(p.bytes, objects())
}

func objects() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}
