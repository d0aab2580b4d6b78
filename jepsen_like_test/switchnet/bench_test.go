package switchnet

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkNetwork_Packets has always a few packets under way, as many as a device
// holds without dropping any. It includes the kernels' work on both sides.
func BenchmarkNetwork_Packets(b *testing.B) {
	const window = 256
	n, addrs := newNetwork(b, "a", "b")
	from, to := socket(b, n, "a", addrs["a"]), socket(b, n, "b", addrs["b"])
	data, before := make([]byte, 200), cpu(b)
	b.ResetTimer()
	for i := range b.N {
		for uint64(i) > n.counts.forwarded.Load()+window {
			runtime.Gosched()
		}
		if _, err := from.WriteTo(data, to.LocalAddr()); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, n, "all packets to arrive", func(s Stats) bool { return s.Forwarded >= uint64(b.N) })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1000, "cpu-µs/packet")
}

// BenchmarkNetwork_RoundTrip is two ways through the switch, and the kernels' and
// the sockets' work.
func BenchmarkNetwork_RoundTrip(b *testing.B) {
	n, addrs := newNetwork(b, "a", "b")
	from, to := socket(b, n, "a", addrs["a"]), socket(b, n, "b", addrs["b"])
	go func() {
		data := make([]byte, mtu)
		for {
			size, sender, err := to.ReadFrom(data)
			if err != nil {
				return // closed
			}
			to.WriteTo(data[:size], sender)
		}
	}()
	data := make([]byte, 200)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		began := time.Now()
		if _, err := from.WriteTo(data, to.LocalAddr()); err != nil {
			b.Fatal(err)
		}
		if _, err := from.Read(data); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
}

// cpu is what this process has used, of the kernel's time too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
