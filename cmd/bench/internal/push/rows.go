package push

import (
	"maps"
	"slices"

	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

// Row is a case with the samples of all runs.
type Row struct {
	Case
	samples map[int]Sample // by run
}

// RowFigures is a row as the document has it: over the runs.
type RowFigures struct {
	Case
	PushesPerS stats.Spread  `json:"pushes_per_s"`
	P50us      stats.Spread  `json:"p50_us"`
	P99us      stats.Spread  `json:"p99_us"`
	CPUus      stats.Spread  `json:"cpu_us_per_push"`
	Allocated  stats.Spread  `json:"allocated_bytes_per_frontend"`
	Wire       *stats.Spread `json:"wire_bytes_per_frontend,omitempty"`
	ChangesPS  *stats.Spread `json:"changes_per_s,omitempty"`
	Strangers  stats.Spread  `json:"stranger_cpu_percent"` // of one core
	Errors     uint64        `json:"errors"`
	Error      string        `json:"error,omitempty"` // the first one
}

func (r *Row) figures() RowFigures {
	f := RowFigures{
		Case:       r.Case,
		PushesPerS: r.spread(pushesPerS), P50us: r.spread(p50us), P99us: r.spread(p99us),
		CPUus: r.spread(func(s Sample) float64 { return s.CPUus }), Allocated: r.spread(allocated),
		Strangers: r.spread(func(s Sample) float64 { return s.Strangers }),
	}
	if r.Counted {
		s := r.spread(wire)
		f.Wire = &s
	}
	if r.Changing {
		s := r.spread(changesPS)
		f.ChangesPS = &s
	}
	for _, s := range r.samples {
		if f.Errors += s.Errors; f.Error == "" {
			f.Error = s.Error
		}
	}
	return f
}

func pushesPerS(s Sample) float64 { return s.PushesPerS }
func p50us(s Sample) float64      { return s.P50us }
func p99us(s Sample) float64      { return s.P99us }
func allocated(s Sample) float64  { return s.Allocated }
func wire(s Sample) float64       { return s.Wire }
func changesPS(s Sample) float64  { return s.ChangesPS }

func (r *Row) spread(of func(Sample) float64) stats.Spread {
	return stats.SpreadOf(slices.Collect(maps.Values(r.values(of)))...)
}

// values are those of the runs.
func (r *Row) values(of func(Sample) float64) map[int]float64 {
	values := make(map[int]float64)
	for run, s := range r.samples {
		values[run] = of(s)
	}
	return values
}
