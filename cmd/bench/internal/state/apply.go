package state

import (
	"context"
	"time"
)

const (
	chunkEntries = 100
	runChunks    = 5 // chunks that a run is measured with
)

// apply measures what an operation takes at two sizes, and what they take of memory.
func (b *bench) apply(ctx context.Context) error {
	for _, at := range bothSizes {
		w, err := b.build(ctx, at.shape, 0, 0)
		if err != nil {
			return err
		}
		b.add("heap_bytes_"+at.size, w.grown.alloc/float64(len(w.all)))
		var c chunk
		for run := range b.options.Runs + 1 {
			ns, err := w.applied(ctx, &c)
			if err != nil {
				return err
			}
			if run > 0 { // the first one grows what is used again
				b.add("apply_ns_"+at.size, ns)
			}
		}
	}
	return nil
}

// applied is the time of one operation, in ns: decoding and applying entries that
// were written before, by one goroutine.
func (w *world) applied(ctx context.Context, c *chunk) (ns float64, err error) {
	var spent time.Duration
	var ops, changed int
	for range runChunks {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		c.write(w, chunkEntries)
		began := time.Now()
		did, err := c.apply(w)
		spent += time.Since(began)
		if err != nil {
			return 0, err
		}
		ops += c.ops
		changed += did
	}
	return float64(spent.Nanoseconds()) / float64(ops), check(changed, ops)
}
