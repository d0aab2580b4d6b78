package writes

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
	OpsPerS    stats.Spread  `json:"ops_per_s"`
	P50us      stats.Spread  `json:"p50_us"`
	P99us      stats.Spread  `json:"p99_us"`
	CPUus      stats.Spread  `json:"cpu_us_per_op"`
	FsyncsPerS *stats.Spread `json:"fsyncs_per_s,omitempty"`
	Errors     uint64        `json:"errors"`
	Error      string        `json:"error,omitempty"`     // the first one
	Elections  int           `json:"elections,omitempty"` // that disturbed it, and made it be measured again, three times at most in a run
}

func (r *Row) figures() RowFigures {
	f := RowFigures{
		Case:    r.Case,
		OpsPerS: r.spread(func(s Sample) float64 { return s.OpsPerS }),
		P50us:   r.spread(func(s Sample) float64 { return s.P50us }),
		P99us:   r.spread(func(s Sample) float64 { return s.P99us }),
		CPUus:   r.spread(func(s Sample) float64 { return s.CPUus }),
	}
	var fsyncs []float64
	for _, s := range r.samples {
		if s.FsyncsPerS != nil {
			fsyncs = append(fsyncs, *s.FsyncsPerS)
		}
		f.Elections += s.Elections
		if f.Errors += s.Errors; f.Error == "" {
			f.Error = s.Error
		}
	}
	if len(fsyncs) > 0 {
		spread := stats.SpreadOf(fsyncs...)
		f.FsyncsPerS = &spread
	}
	return f
}

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
