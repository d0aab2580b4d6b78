package state

import "context"

// heap measures memory per membership of both, with each shape.
func (b *bench) heap(ctx context.Context) error {
	for run := range b.options.Runs {
		for _, s := range heapShapes() {
			if err := b.heapOf(ctx, s, run); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) heapOf(ctx context.Context, s Shape, run int) error {
	w, err := b.build(ctx, s, run, 0)
	if err != nil {
		return err
	}
	n := float64(len(w.all))
	b.add("heap_bytes_"+s.Name, w.grown.alloc/n)
	b.add("heap_inuse_bytes_"+s.Name, w.grown.inuse/n)
	if b.sets == nil || s.Sessions { // the sets have nowhere to keep them
		return nil
	}
	used, err := b.sets.load(ctx, w.names, w.all)
	if err != nil {
		return err
	}
	b.add("redis_bytes_"+s.Name, used/n)
	b.add("heap_vs_redis_"+s.Name, w.grown.alloc/used)
	return nil
}
